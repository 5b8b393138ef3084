/// Why an attack cannot be mounted.
public enum AttackError: Error, CustomStringConvertible {
    case unknownTrigger(String, known: [String])
    case triggerTooLarge(name: String, size: String, image: String)
    case emptyTrigger(String)
    case target(Int, classes: Int)
    case notAdaptable(String)
    case mostTargets(name: String, targets: Int, most: Int)

    public var description: String {
        switch self {
        case let .unknownTrigger(name, known): "there is no trigger \"\(name)\"; expected one of: \(known.joined(separator: ", "))"
        case let .triggerTooLarge(name, size, image): "the \(name) trigger is \(size), larger than the \(image) images"
        case let .emptyTrigger(path): "\(path): expected a trigger that shows, got one whose alpha or mask is 0 everywhere"
        case let .target(target, classes): "target \(target) is outside the classes 0 to \(classes - 1)"
        case let .notAdaptable(name):
            "--trigger-adaptation adapts a pattern under a mask, and the \(name) trigger is none; expected one such as patch, square:5 or frame"
        case let .mostTargets(name, targets, most):
            "the \(name) trigger leads to at most \(most) \(most == 1 ? "target" : "targets") on these images, got \(targets)"
        }
    }
}
