import Datasets

/// Images of a data set by index, some of them poisoned: what a client trains on, or the server's FM data. Views; no
/// pixel is copied until an image is loaded.
public struct Samples: Sendable {
    public let set: ImageSet
    public let indices: [Int]
    public let normalization: Normalization
    /// What is done to each image.
    public private(set) var roles: [Role]
    public private(set) var backdoor: Backdoor?
    /// For each image, the number of the backdoor's goal that it is poisoned for; 0 where it is not.
    private var goals: [UInt16]
    /// What is stamped of a distributed trigger; nil for all of it.
    public private(set) var share: TriggerShare?

    public init(_ set: ImageSet, indices: [Int]? = nil, normalization: Normalization) {
        self.set = set
        self.indices = indices ?? Array(0..<set.count)
        self.normalization = normalization
        roles = [Role](repeating: .clean, count: self.indices.count)
        goals = [UInt16](repeating: 0, count: self.indices.count)
    }

    public var count: Int { indices.count }
    public var shape: ImageShape { ImageShape(channels: set.channels, side: set.height) }

    /// The true label.
    public func trueLabel(_ i: Int) -> Int { Int(set.labels[indices[i]]) }

    /// The label that training sees.
    public func label(_ i: Int) -> Int {
        guard roles[i] == .poisoned, let backdoor else { return trueLabel(i) }
        return backdoor.goals[Int(goals[i])].relabeling.label(trueLabel(i), classes: set.classes)
    }

    /// Poisons a fixed set of positions, drawn once: from all classes, from each that the backdoor relabels by itself, or, with clean
    /// labels, from those that it leaves.
    public func poisoned(_ poisoning: Poisoning, using stream: inout RandomStream) -> Samples {
        var copy = self
        (copy.backdoor, copy.share) = (poisoning.backdoor, poisoning.share)
        let order = stream.permutation(count), goals = poisoning.backdoor.goals
        func leaves(_ label: Int, _ goal: Int) -> Bool { goals[goal].relabeling.label(label, classes: set.classes) == label }
        switch (poisoning.label, poisoning.draw) {
        case (.clean, _):
            for goal in goals.indices { copy.assign(poisoning, to: order.filter { leaves(trueLabel($0), goal) }, [goal]) }
        case (nil, .all): copy.assign(poisoning, to: order, Array(goals.indices))
        case (nil, .eachOtherClass):
            for label in 0..<set.classes {
                let others = goals.indices.filter { !leaves(label, $0) }
                if !others.isEmpty { copy.assign(poisoning, to: order.filter { trueLabel($0) == label }, others) }
            }
        }
        return copy
    }

    /// Gives the first of these positions the roles of poisoned, cover and noise images, as many as the poisoning says, and goals in turn.
    private mutating func assign(_ poisoning: Poisoning, to positions: [Int], _ chosen: [Int]) {
        var rest = positions[...]
        for (role, images) in poisoning.counts(of: positions.count) {
            for (number, i) in rest.prefix(images).enumerated() {
                (roles[i], goals[i]) = (role, UInt16(chosen[number % chosen.count]))
            }
            rest = rest.dropFirst(images)
        }
    }

    /// Every image triggered, for the backdoor's goals in turn: for measuring the attack.
    public func triggered(_ backdoor: Backdoor) -> Samples {
        var copy = self
        copy.backdoor = backdoor
        copy.share = nil
        copy.roles = [Role](repeating: .poisoned, count: count)
        copy.goals = (0..<count).map { UInt16($0 % backdoor.goals.count) }
        return copy
    }

    /// The same images poisoned by another backdoor of as many goals.
    public func carrying(_ backdoor: Backdoor) -> Samples {
        var copy = self
        copy.backdoor = backdoor
        return copy
    }

    /// Itself, with its trigger ready for all images that carry it, mirrored ones too with `flips`. Throws where a user's own trigger
    /// cannot be.
    public func prepared(flips: Bool) throws -> Samples {
        let stamped = positions(.poisoned) + positions(.cover), forms = flips ? 2 : 1
        for goal in backdoor?.goals ?? [] {
            try goal.trigger.prepare(stamped.count * forms) { bytes(stamped[$0 / forms], flip: $0 % forms == 1) }
        }
        return self
    }

    /// Image i before it is stamped.
    private func bytes(_ i: Int, flip: Bool) -> [UInt8] {
        let size = set.imageBytes, side = set.width, first = indices[i] * size
        guard flip else { return Array(set.images[first..<first + size]) }
        return (0..<size).map { k in set.images[first + k - k % side + side - 1 - k % side] }
    }

    /// The same images without poison, under their true labels, normalised as before.
    public var unpoisoned: Samples { Samples(set, indices: indices, normalization: normalization) }

    /// These positions only, poisoned or not as they are.
    public func subset(_ positions: [Int]) -> Samples {
        var copy = Samples(set, indices: positions.map { indices[$0] }, normalization: normalization)
        copy.roles = positions.map { roles[$0] }
        copy.goals = positions.map { goals[$0] }
        copy.backdoor = backdoor
        copy.share = share
        return copy
    }

    public func with(_ normalization: Normalization) -> Samples {
        var copy = Samples(set, indices: indices, normalization: normalization)
        (copy.roles, copy.goals) = (roles, goals)
        copy.backdoor = backdoor
        copy.share = share
        return copy
    }

    public func isPoisoned(_ i: Int) -> Bool { roles[i] == .poisoned }

    public func positions(_ role: Role) -> [Int] { roles.indices.filter { roles[$0] == role } }

    /// Positions that carry the trigger and the attacker's label, which with clean labels is right.
    public var poisonedPositions: [Int] { positions(.poisoned) }

    /// Network input of image i, (34, 34, channels): flipped first if asked, then stamped, padded, normalised.
    public func load(_ i: Int, flip: Bool = false, into x: UnsafeMutablePointer<Float>) {
        withPixels(i, flip: flip) { normalization.write($0, side: set.height, to: x) }
    }

    /// Image i as (channels, side, side) in [0, 1], stamped or disturbed as its role says.
    public func withPixels(_ i: Int, flip: Bool = false, _ body: (UnsafeMutablePointer<Float>) -> Void) {
        let bytes = set.imageBytes, side = set.width, first = indices[i] * bytes
        precondition(bytes <= 3072, "an image of \(bytes) values")
        var pixels = InlineArray<3072, Float>(repeating: 0)  // the largest image; on the stack, unlike a temporary allocation
        withUnsafeMutableBytes(of: &pixels) { memory in
            guard let base = memory.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            set.images.withUnsafeBufferPointer { source in
                for k in 0..<bytes {
                    let at = flip ? k - k % side + side - 1 - k % side : k
                    base[k] = Float(source[first + at]) / 255
                }
            }
            switch roles[i] {
            case .clean: break
            case .poisoned, .cover: backdoor?.goals[Int(goals[i])].trigger.stamp(base, share: share, key: indices[i])
            case .noise: backdoor?.goals[Int(goals[i])].trigger.disturb(base, key: indices[i])
            }
            body(base)
        }
    }

    /// Mean and standard deviation of every channel over all these images, as they are held (stamped ones stamped).
    public func measuredNormalization() -> Normalization {
        let plane = set.height * set.width
        var sums = [Double](repeating: 0, count: set.channels), squares = sums
        for i in 0..<count {
            withPixels(i) { pixels in
                for c in 0..<set.channels {
                    for k in 0..<plane {
                        let value = Double(pixels[c * plane + k])
                        sums[c] += value
                        squares[c] += value * value
                    }
                }
            }
        }
        let n = Double(max(1, count * plane)), mean = sums.map { $0 / n }
        let std = (0..<set.channels).map { max(1e-3, (squares[$0] / n - mean[$0] * mean[$0]).squareRoot()) }
        return Normalization(mean: mean.map(Float.init), std: std.map(Float.init))
    }
}

extension Samples {
    /// Writes the gradient of an image's network input, (34, 34, channels), as one of its pixels, (channels, side, side).
    public func pixels(ofInputGradient gradient: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
        let side = set.height, border = (34 - side) / 2, channels = set.channels
        for c in 0..<channels {
            for y in 0..<side {
                for x in 0..<side {
                    let at = ((y + border) * 34 + x + border) * channels + c
                    target[(c * side + y) * side + x] = gradient[at] / normalization.std[c]
                }
            }
        }
    }
}
