import Options

/// The images that a run is measured on; dev: training images that no client gets.
public enum EvaluationSplit: String, SettingValue, CaseIterable, Sendable { case test, dev }
