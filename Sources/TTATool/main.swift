// The command line tool.

import TTACommandLine

await TTACommandLine.run()
