// The style of report pages.

/// The style of report pages: light and dark, wide and narrow. The line colours are Okabe and Ito's, darkened or lightened until they
/// stand out from their ground; dashes tell lines apart without colour.
enum ReportStyle {
  static let css = """
    :root { color-scheme: light dark; --ground: #ffffff; --raised: #f5f6f8; --band: #f3f4f7; --text: #1b1f27; --soft: #5a6372;
      --line: #dde0e6; --bar: #9db4d0; --series-0: #c24e00; --series-1: #0068a8; --series-2: #007a5a; --series-3: #a84a85;
      --series-4: #5b4bc4; --series-5: #8a6100; --series-6: #2a7fb8; --series-7: #4d5663; }
    @media (prefers-color-scheme: dark) { :root { --ground: #14171c; --raised: #1e232b; --band: #1b2027; --text: #e7eaef; --soft: #a3adbb;
      --line: #333a45; --bar: #4a6485; --series-0: #ff9351; --series-1: #5cb8f2; --series-2: #3bd0a2; --series-3: #eb9dcb;
      --series-4: #b3a6ff; --series-5: #eabf4c; --series-6: #9fd5f7; --series-7: #c3cad4; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 48px; }
    h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; } h2 { font-size: 20px; margin: 44px 0 4px; }
    p { margin: 0 0 12px; max-width: 72ch; } .finding { font-size: 18px; } .soft { color: var(--soft); font-size: 14px; max-width: 90ch; }
    .cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 0; padding: 0; list-style: none; }
    .cards li { flex: 1 1 150px; background: var(--raised); border-radius: 8px; padding: 12px 16px; }
    .cards .name { display: flex; align-items: center; gap: 8px; font-weight: 600; overflow-wrap: anywhere; }
    .cards .value { font-size: 30px; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
    figure { margin: 0; } .plot { padding: 44px 18px 52px 52px; }
    .legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 0; padding: 0; list-style: none; font-size: 14px; }
    .legend li { display: flex; align-items: center; gap: 8px; }
    .chart { display: block; overflow: visible; } .chart svg { overflow: visible; } .sample { flex: none; }
    .chart text { font-size: 12px; fill: var(--soft); } .band-name, .x-tick, .x-title { text-anchor: middle; } .y-tick { text-anchor: end; }
    .band0 { fill: var(--band); } .band1 { fill: transparent; } .grid, .tick { stroke: var(--line); }
    .line { fill: none; stroke-width: 2.25px; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
    .mark { stroke: var(--ground); stroke-width: 1.5px; }
    \(series)
    .crowded .band-name { writing-mode: vertical-rl; text-anchor: end; } .plot:has(.crowded) { padding-top: 132px; }
    .scroll { overflow-x: auto; } .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--series-1); outline-offset: 2px; }
    table { border-collapse: collapse; margin: 12px 0 0; font-variant-numeric: tabular-nums; }
    caption { text-align: left; color: var(--soft); font-size: 14px; padding-bottom: 8px; }
    caption span { position: sticky; left: 0; display: inline-block; max-width: min(72ch, calc(100vw - 40px)); white-space: normal; }
    th, td { padding: 6px 14px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
    th:first-child { text-align: left; padding-left: 0; } thead th, tfoot th { font-weight: 600; } tbody th { font-weight: 400; }
    tfoot tr:first-child > * { border-top: 2px solid var(--soft); }
    td .error { color: var(--soft); font-size: 12px; } td.best { font-weight: 700; } td.best .error { font-weight: 400; }
    td.share { background: linear-gradient(var(--bar), var(--bar)) right 14px bottom / calc(84px * var(--share)) 3px no-repeat; }
    td.share, thead th:not(:first-child) { min-width: 112px; }
    .facts th { color: var(--soft); vertical-align: top; } .facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
    .sheet { display: grid; gap: 10px; margin-top: 12px; }
    .sheet figure { display: grid; grid-template-columns: 150px 1fr; align-items: center; gap: 12px; }
    .sheet figcaption { font-size: 14px; } .strip { display: grid; grid-template-columns: repeat(10, minmax(0, 80px)); gap: 4px; }
    .strip img { width: 100%; aspect-ratio: 1; display: block; border-radius: 3px; image-rendering: pixelated; }
    pre { background: var(--raised); border-radius: 8px; padding: 12px 16px; overflow-x: auto; font: 14px/1.5 ui-monospace, monospace; }
    .command { margin: 16px 0 4px; } details { margin-top: 16px; } summary { cursor: pointer; }
    @media (max-width: 720px) {
      main { padding: 20px 16px 40px; } h1 { font-size: 24px; } .finding { font-size: 16px; }
      .cards { gap: 8px; } .cards li { flex-basis: 96px; padding: 10px 12px; } .cards .value { font-size: 22px; } .cards .name { display: block; }
      .cards .sample { display: block; } .x-tick.minor { display: none; }
      .plot { padding: 120px 14px 52px 46px; } .band-name { writing-mode: vertical-rl; text-anchor: end; }
      table { font-size: 14px; } th, td { padding: 6px 8px; } th { white-space: normal; } pre { white-space: pre-wrap; } td .error { display: block; line-height: 1.3; }
      td.share { background-position: right 8px bottom; background-size: calc(56px * var(--share)) 3px; }
      td.share, thead th:not(:first-child) { min-width: 70px; }
      .sheet figure { grid-template-columns: 1fr; gap: 2px; } .strip { gap: 2px; }
    }
    @media print { body { font-size: 12px; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
    """

  /// What the pages of replays need beside it.
  static let replayCSS = """
    .notes { margin: 0 0 12px; padding-left: 18px; } .map { margin: 20px 0 0; } .map figcaption { font-weight: 600; font-size: 14px; }
    .heat { display: block; margin-top: 4px; } .heat text { font-size: 12px; fill: var(--text); font-variant-numeric: tabular-nums; }
    .heat .heat-column { fill: var(--soft); } .heat-column, .heat-value { text-anchor: middle; } .heat rect { fill: var(--series-0); }
    .heat { overflow: visible; } .heat-row { text-anchor: end; } .fields { padding-left: 128px; }
    .bubble { fill-opacity: 0.75; stroke: var(--ground); stroke-width: 1.5px; }
    .chart .bubble-name { fill: var(--text); paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
    td.text { text-align: left; white-space: normal; min-width: 320px; } td .error { margin-left: 4px; }
    .unnamed .band-name { display: none; } .plot.unnamed { padding-top: 20px; }
    .next { margin-top: 20px; } .scroll + .soft { margin-top: 20px; }
    @media (max-width: 720px) { .bubble-name { display: none; } }
    figure .plot:not(:has(.band-name)) { padding-top: 20px; }
    """

  private static let dashes = ["7 4", "2 4", "none", "11 4 2 4", "15 5", "4 2", "8 3 2 3 2 3", "3 8"]
  private static let series = (0..<LineChart.styleCount).map { number in
    ".line.series-\(number) { stroke: var(--series-\(number)); stroke-dasharray: \(dashes[number % dashes.count]); } "
      + ".mark.series-\(number), .bubble.series-\(number) { fill: var(--series-\(number)); }"
  }.joined(separator: "\n")
}
