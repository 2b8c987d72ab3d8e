// A strategy of one's own with every command of tta: `swift run mytta demo --strategies source,tent,confident-tent`.

import Engine
import TTA
import TTACommandLine

/// Learns only from images the model is already sure about.
struct Confident: SampleFilter {
  struct Options: ComponentOptions {
    var threshold: Float = 0.5
    static let meanings = ["threshold": "smallest probability of the predicted class"]
  }
  var options = Options()
  func weigh(_ weights: inout [Float], of output: Output, for batch: Batch, in context: inout AdaptationContext) {
    for (image, confidence) in output.confidences.enumerated() where confidence < options.threshold { weights[image] = 0 }
  }
}

@main struct MyTTA {
  static func main() async {
    var registry = Registry.builtIn
    let summary = Summary("TENT on confident images", paper: "this example", updates: "norm scale and shift", forwards: "1", backwards: "1")
    registry.register(filter: "confident", summary) { (options: Confident.Options) in Confident(options: options) }
    registry.register(strategy: "confident-tent", summary) { (options: Tent.Options) in Tent(options).filtered(by: Confident()) }
    await TTACommandLine.run(registry)
  }
}
