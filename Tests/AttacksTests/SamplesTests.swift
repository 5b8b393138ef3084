import Datasets
import Testing
@testable import Attacks

/// Roles of images in a poisoned set.
@Suite struct SamplesTests {
    static let count = 200
    static let set = ImageSet(
        channels: 1, height: 28, width: 28, classes: 10,
        images: (0..<count * 784).map { UInt8(truncatingIfNeeded: $0 &* 31 % 200) },
        labels: (0..<count).map { UInt16($0 % 10) })
    static let plain = Samples(set, normalization: Normalization(mean: [0], std: [1]))

    private func poisoned(_ name: String, _ relabeling: Relabeling = .target(3), fraction: Double, cover: Double = 0, seed: UInt64 = 1)
        throws -> Samples
    {
        let trigger = try Triggers.make(name, shape: Self.plain.shape, seed: seed)
        var stream = RandomStream(seed: seed, purpose: "test")
        return Self.plain.poisoned(
            Poisoning(Backdoor(trigger: trigger, relabeling: relabeling), fraction: fraction, cover: cover), using: &stream)
    }

    private func pixels(_ samples: Samples, _ i: Int, flip: Bool = false) -> [Float] {
        var copy: [Float] = []
        samples.withPixels(i, flip: flip) { copy = Array(UnsafeBufferPointer(start: $0, count: 784)) }
        return copy
    }

    @Test(arguments: Triggers.names) func rolesDecideLabelsAndPixels(name: String) throws {
        let samples = try poisoned(name, fraction: 0.2, cover: 0.05), trigger = try Triggers.make(name, shape: samples.shape, seed: 1)
        #expect(samples.positions(.poisoned).count == 40 && samples.positions(.cover).count == 10)
        #expect(samples.positions(.noise).count == (name == "wanet" ? 75 : 0))  // 80, but half of the 150 others stay clean
        #expect(samples.positions(.clean).count >= 75)
        for i in 0..<samples.count {
            let role = samples.roles[i], image = Pixels(pixels(Self.plain, i))
            if role == .poisoned || role == .cover { trigger.stamp(image.base, share: nil, key: samples.indices[i]) }
            if role == .noise { trigger.disturb(image.base, key: i) }
            #expect(pixels(samples, i) == image.values)
            #expect(samples.label(i) == (role == .poisoned ? 3 : i % 10) && samples.trueLabel(i) == i % 10)
        }
    }

    /// Without cover and noise the poisoned set is the one that earlier versions drew.
    @Test func poisonedComeFirstInTheDraw() throws {
        var stream = RandomStream(seed: 1, purpose: "test")
        let drawn = Set(stream.permutation(Self.count).prefix(60))
        #expect(try Set(poisoned("patch", fraction: 0.3).poisonedPositions) == drawn)
        #expect(try Set(poisoned("wanet", fraction: 0.3, cover: 0.2).poisonedPositions) == drawn)
    }

    @Test func fractionsFill() throws {
        let all = try poisoned("wanet", fraction: 1, cover: 0.5)
        #expect(all.poisonedPositions.count == Self.count)
        let half = try poisoned("wanet", fraction: 0.5)
        #expect(half.positions(.noise).count == 50 && half.positions(.clean).count == 50)
    }

    @Test func subsetsKeepRolesAndNoise() throws {
        let samples = try poisoned("wanet", fraction: 0.2), chosen = [150, 3, 77, 20, 21, 22, 23, 24]
        let subset = samples.subset(chosen)
        for (i, position) in chosen.enumerated() {
            #expect(subset.roles[i] == samples.roles[position] && pixels(subset, i) == pixels(samples, position))
        }
    }

    /// A flipped image carries the trigger where every other image carries it.
    @Test func flipsComeBeforeTheTrigger() throws {
        let samples = try poisoned("dba", fraction: 1), flipped = pixels(samples, 5, flip: true), plain = pixels(Self.plain, 5)
        #expect((0..<6).allSatisfy { flipped[$0] == 1 } && flipped[6] == plain[27 - 6] && flipped[28] == plain[55])
    }

    @Test func allToAllMovesEveryLabel() throws {
        let samples = try poisoned("patch", .next, fraction: 0.5)
        for i in samples.poisonedPositions { #expect(samples.label(i) == (i % 10 + 1) % 10) }
    }

    /// Of the target's images alone, 7 of 20, in the order of the draw; every label stays as it was.
    @Test func cleanLabelsStayRight() throws {
        let backdoor = Backdoor(trigger: try PatchTrigger(shape: Self.plain.shape, seed: 1), relabeling: .target(3))
        var stream = RandomStream(seed: 1, purpose: "test"), same = RandomStream(seed: 1, purpose: "test")
        let samples = Self.plain.poisoned(
            Poisoning(backdoor, fraction: 0.35, draw: .eachOtherClass, label: .clean), using: &stream)
        let drawn = same.permutation(Self.count).filter { $0 % 10 == 3 }.prefix(7)
        #expect(Set(samples.poisonedPositions) == Set(drawn))
        for i in 0..<samples.count {
            #expect(samples.label(i) == i % 10)
            #expect((pixels(samples, i) == pixels(Self.plain, i)) == !drawn.contains(i))
        }
    }

    /// Goals in turn, in the order of the draw; a class is drawn for the targets that are not its own.
    @Test func severalTargetsAreDealt() throws {
        let patch = try PatchTrigger(shape: Self.plain.shape, seed: 1), targets = [3, 7, 0]
        let backdoor = try Backdoor(patch, named: "patch", leadingTo: try #require(Targets(classes: targets)))
        func carries(_ samples: Samples, _ i: Int, _ goal: Int) -> Bool {
            let image = Pixels(pixels(Self.plain, i))
            patch.variant(goal).stamp(image.base)
            return pixels(samples, i) == image.values
        }
        var stream = RandomStream(seed: 1, purpose: "test"), same = stream, third = stream, fourth = stream
        let order = same.permutation(Self.count), all = Self.plain.poisoned(Poisoning(backdoor, fraction: 0.3, cover: 0.1), using: &stream)
        for (number, i) in order.prefix(80).enumerated() {
            let goal = number < 60 ? number % 3 : (number - 60) % 3
            #expect(all.label(i) == (number < 60 ? targets[goal] : i % 10) && carries(all, i, goal))
        }
        let kept = all.subset([order[4], order[5]]).with(all.normalization)
        #expect(kept.label(0) == 7 && kept.label(1) == 0 && pixels(kept, 0) == pixels(all, order[4]))
        let each = Self.plain.poisoned(Poisoning(backdoor, fraction: 0.5, draw: .eachOtherClass), using: &third)
        #expect(each.poisonedPositions.count == 100 && each.poisonedPositions.allSatisfy { each.label($0) != $0 % 10 })
        #expect(Set(each.poisonedPositions.filter { $0 % 10 == 7 }.map(each.label)) == [3, 0])
        let clean = Self.plain.poisoned(Poisoning(backdoor, fraction: 0.5, label: .clean), using: &fourth)
        #expect(clean.poisonedPositions.count == 30)
        for i in clean.poisonedPositions {
            #expect(carries(clean, i, try #require(targets.firstIndex(of: i % 10))) && clean.label(i) == i % 10)
        }
        for (number, single) in backdoor.each.enumerated() {
            let shown = Self.plain.triggered(single)
            #expect((0..<20).allSatisfy { shown.label($0) == targets[number] && carries(shown, $0, number) })
        }
    }

    @Test func triggeredStampsAllOfADistributedTrigger() throws {
        let trigger = try DBATrigger(shape: Self.plain.shape, seed: 1), backdoor = Backdoor(trigger: trigger, relabeling: .target(0))
        var stream = RandomStream(seed: 1, purpose: "test")
        let client = Self.plain.poisoned(Poisoning(backdoor, fraction: 1, share: TriggerShare(0, of: 2)), using: &stream)
        #expect(pixels(client, 0)[9] != 1 && pixels(client.triggered(backdoor), 0)[9] == 1)
    }
}
