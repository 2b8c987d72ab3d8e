final class FusedLowering {
  init(_ compiler: Compiler) {}
  func lower(_ node: Int) throws(TTAError) -> PlanValue? { nil }
  func plain(_ value: PlanValue) -> PlainValue { fatalError() }
}
