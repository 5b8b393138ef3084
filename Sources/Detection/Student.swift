import Options

/// The global model never takes clients' weights: PROTOTYPE
public enum Student {
    public static let name = "student"
    public static let median = Setting("student-median", default: false, help: "median of teachers")
    public static let epochs = Setting("student-epochs", default: 1, in: .count(from: 1), value: "n", help: "epochs")
    public static let settings: [any AnySetting] = [median, epochs]
}
