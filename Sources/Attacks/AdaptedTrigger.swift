/// A trigger whose pattern malicious clients adapted (`TriggerAdaptation`): x' = (1 - m) x + m p, mask (side, side) and pattern (channels,
/// side, side) in [0, 1], at the images' own size. It has no name on the command line.
public struct AdaptedTrigger: Trigger {
    public static let name = "adapted"
    let mask: [Float], pattern: [Float]

    public init(mask: [Float], pattern: [Float]) { (self.mask, self.pattern) = (mask, pattern) }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for k in pattern.indices {
            let m = mask[k % mask.count]
            image[k] = (1 - m) * image[k] + m * pattern[k]
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? { (mask, pattern) }
}

extension Backdoor {
    /// This backdoor with another pattern, (channels, side, side), under its trigger's mask. Itself where it has no mask of that size.
    public func adapted(_ pattern: [Float]) -> Backdoor {
        guard let overlay = trigger.overlay, overlay.pattern.count == pattern.count else { return self }
        return Backdoor(trigger: AdaptedTrigger(mask: overlay.mask, pattern: pattern), relabeling: relabeling)
    }

    /// Whether its pattern can be adapted: it is one mask and one pattern, the same for all images and all malicious clients.
    public var isAdaptable: Bool { goals.count == 1 && trigger.parts == 1 && trigger.overlay != nil }
}
