// The names of everything this library has.

import Engine

extension Registry {
  static func registerGradientStrategies(_ registry: inout Registry) {
    registry.register(strategy: "tent", Tent.summary) { (options: Tent.Options) in Tent(options) }
    registry.register(strategy: "cotta", CoTTA.summary) { (options: CoTTA.Options) in CoTTA(options) }
    registry.register(strategy: "shot", SHOT.summary) { (options: SHOT.Options) in SHOT(options) }
    registry.register(strategy: "shot-offline", OfflineSHOT.summary) { (options: OfflineSHOT.Options) in OfflineSHOT(options) }
    registry.register(strategy: "ttt", TTT.summary) { (options: TTT.Options) in TTT(options) }
    registry.register(strategy: "conjugate", ConjugatePseudoLabels.summary) { (options: ConjugatePseudoLabels.Options) in
      ConjugatePseudoLabels(options)
    }
    registry.register(strategy: "sar", SAR.summary) { (options: SAR.Options) in SAR(options) }
    registry.register(strategy: "eta", EATA.summaryWithoutFile) { (options: EATA.Options) in
      guard options.file.isEmpty else {
        throw TTAError(.usage, "eta: file: it holds no weights", hint: "eata does, with the file of tta prepare fisher")
      }
      return try EATA(options)
    }
    registry.register(strategy: "eata", EATA.summary) { (options: EATA.Options) in
      guard !options.file.isEmpty else {
        throw TTAError(
          .usage, "eata: file: expected the importances of the source's weights",
          hint: "make them with tta prepare fisher and give --set strategy.file=FILE; eta works without")
      }
      return try EATA(options)
    }
    registry.register(strategy: "rdumb", RDumb.summary) { (options: RDumb.Options) in try RDumb(options) }
    registry.register(strategy: "rpl", RobustPseudoLabeling.summary) { (options: RobustPseudoLabeling.Options) in
      RobustPseudoLabeling(options)
    }
    registry.register(strategy: "roid", ROID.summary) { (options: ROID.Options) in ROID(options) }
    registry.register(strategy: "cmf", CMF.summary) { (options: CMF.Options) in CMF(options) }
    registry.register(strategy: "vida", ViDA.summary) { (options: ViDA.Options) in try ViDA(options) }
    registry.register(strategy: "memo", MEMO.summary) { (options: MEMO.Options) in MEMO(options) }
    registry.register(strategy: "note", NOTE.summary) { (options: NOTE.Options) in NOTE(options) }
    registry.register(strategy: "rotta", RoTTA.summary) { (options: RoTTA.Options) in RoTTA(options) }
    registry.register(strategy: "deyo", DeYO.summary) { (options: DeYO.Options) in DeYO(options) }
  }

  static func registerStrategiesWithoutGradients(_ registry: inout Registry) {
    registry.register(strategy: "lame", Lame.strategySummary) { (options: Lame.Options) in LameStrategy(options) }
    registry.register(strategy: "t3a", T3A.summary) { (options: T3A.Options) in T3A(options) }
  }

  static func registerParts(_ registry: inout Registry) {
    registry.register(objective: "entropy", Summary("entropy of the predictions", paper: "Wang et al., ICLR 2021")) { (_: NoOptions) in
      Entropy()
    }
    registry.register(objective: "come", Summary("entropy with a mass for uncertainty", paper: "Zhang et al., ICLR 2025")) {
      (_: NoOptions) in ConservativeEntropy()
    }
    registry.register(
      objective: "soft-likelihood-ratio", Summary("likelihood ratio of each class to the others", paper: "Mummadi et al. 2021")
    ) { (_: NoOptions) in SoftLikelihoodRatio() }
    registry.register(objective: "conjugate-poly", Summary("conjugate of the polynomial loss", paper: "Goyal et al., NeurIPS 2022")) {
      (options: ConjugatePolynomial.Options) in ConjugatePolynomial(options)
    }
    registry.register(
      objective: "generalized-cross-entropy", Summary("robust cross entropy to the own labels", paper: "Zhang and Sabuncu, NeurIPS 2018")
    ) { (options: GeneralizedCrossEntropy.Options) in GeneralizedCrossEntropy(options) }
    registry.register(
      objective: "information-maximization", Summary("certain and diverse predictions", paper: "Liang et al., ICML 2020")
    ) { (options: InformationMaximization.Options) in InformationMaximization(options) }
    registry.register(objective: "teacher-consistency", Summary("cross entropy to a slow teacher", paper: "Wang et al., CVPR 2022")) {
      (options: TeacherConsistency.Options) in TeacherConsistency(options)
    }

    registry.register(
      filter: "wisdom-of-crowds",
      Summary("images that did not lose the source's confidence", paper: "Lee et al., ICCV 2023 (after UniEnt's code)", forwards: "1")
    ) { (options: WisdomOfCrowds.Options) in WisdomOfCrowds(options) }
    registry.register(filter: "entropy-threshold", Summary("certain images", paper: "Niu et al., ICML 2022")) {
      (options: EntropyThreshold.Options) in EntropyThreshold(options)
    }
    registry.register(filter: "diversity", Summary("images unlike those before", paper: "Niu et al., ICML 2022")) {
      (options: Diversity.Options) in Diversity(options)
    }
    registry.register(filter: "plpd", Summary("images recognised by their shape", paper: "Lee et al., ICLR 2024", forwards: "1")) {
      (options: PatchShuffle.Options) in PatchShuffle(options)
    }

    registry.register(adjuster: "lame", Lame.summary) { (options: Lame.Options) in Lame(options) }
    registry.register(adjuster: "logit-adjustment", LogitAdjustment.summary) { (options: LogitAdjustment.Options) in
      LogitAdjustment(options)
    }
    registry.register(adjuster: "prior-correction", PriorCorrection.summary) { (_: NoOptions) in PriorCorrection() }
    registry.register(adjuster: "temperature", Temperature.summary) { (options: Temperature.Options) in Temperature(options) }

    registry.register(guard: "collapse", CollapseGuard.summary) { (options: CollapseGuard.Options) in CollapseGuard(options) }
    registry.register(adapter: "label-shift", LabelShiftAdapter.summary) { (options: LabelShiftAdapter.Options) in
      try LabelShiftAdapter(options)
    }
    registry.register(adapter: "vida", ViDABranches.summary) { (options: ViDABranches.Options) in try ViDABranches(options) }

    registry.register(
      rule: "stochastic-restore", Summary("elements go back to the source at random", paper: "Wang et al., CVPR 2022")
    ) { (options: StochasticRestore.Options) in StochasticRestore(options) }
    registry.register(rule: "weight-ensembling", Summary("a share of the source at every step", paper: "Marsden et al., WACV 2024")) {
      (options: WeightEnsembling.Options) in WeightEnsembling(options)
    }
    registry.register(rule: "periodic-reset", Summary("back to the source every N steps", paper: "Press et al., NeurIPS 2023")) {
      (options: PeriodicReset.Options) in PeriodicReset(options)
    }
    registry.register(rule: "collapse-reset", Summary("back to the source when the loss vanishes", paper: "Niu et al., ICLR 2023")) {
      (options: CollapseReset.Options) in CollapseReset(options)
    }
  }
}
