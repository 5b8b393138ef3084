import Testing
@testable import Attacks

/// Toy images on which the answer can be worked out by hand.
@Suite struct TriggerTests {
    private func stamped(_ trigger: any Trigger, _ pixels: [Float], share: TriggerShare? = nil) -> [Float] {
        let image = Pixels(pixels)
        trigger.stamp(image.base, share: share)
        #expect(image.guardsIntact)
        return image.values
    }

    @Test func patchIsWhiteInTheLastCorner() throws {
        let trigger = try PatchTrigger(shape: ImageShape(channels: 3, side: 4), size: 2)
        let plane: [Float] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1]
        #expect(stamped(trigger, [Float](repeating: 0, count: 48)) == plane + plane + plane)
    }

    /// Forms for several targets: no two patches have a pixel in common, and the first is the trigger itself.
    @Test(arguments: [("patch", 28, 9, 9), ("square:10", 28, 4, 100), ("square:20", 32, 1, 400), ("patch", 32, 9, 9)])
    func squaresHaveTheirPlaces(name: String, side: Int, count: Int, size: Int) throws {
        let shape = ImageShape(channels: 1, side: side), trigger = try Triggers.make(name, shape: shape, seed: 1)
        #expect(trigger.variants == count)
        var seen: [Set<Int>] = []
        for number in 0..<count {
            let form = trigger.variant(number), overlay = try #require(form.overlay)
            let image = stamped(form, [Float](repeating: 0, count: side * side))
            #expect(image == overlay.mask && image == overlay.pattern)
            seen.append(Set(image.indices.filter { image[$0] == 1 }))
        }
        #expect(seen.allSatisfy { $0.count == size } && seen.reduce(into: Set()) { $0.formUnion($1) }.count == count * size)
        #expect(seen[0] == Set(stamped(trigger, [Float](repeating: 0, count: side * side)).enumerated().filter { $0.1 == 1 }.map(\.0)))
    }

    @Test func blendsDiffer() throws {
        let shape = ImageShape(channels: 1, side: 28), trigger = BlendTrigger(shape: shape, seed: 7)
        let images = try (0..<4).map { try #require(trigger.variant($0) as? BlendTrigger).image }
        #expect(images[0] == trigger.image && Set(images).count == 4)
        #expect(images[2] == (try #require(BlendTrigger(shape: shape, seed: 7).variant(2) as? BlendTrigger)).image)
    }

    /// Others have one form, which is themselves.
    @Test(arguments: Triggers.names) func severalTargetsNeedForms(name: String) throws {
        let trigger = try Triggers.make(name, shape: ImageShape(channels: 1, side: 28), seed: 1)
        #expect(Triggers.canLeadToSeveral(name) == ["patch", "square", "blend"].contains(name))
        #expect(Triggers.canLeadToSeveral(name) == (trigger.variants > 1))
        #expect(throws: Never.self) { _ = try Backdoor(trigger, named: name, leadingTo: 4) }
        guard trigger.variants == 1 else { return }
        #expect(throws: AttackError.self) { _ = try Backdoor(trigger, named: name, leadingTo: try #require(Targets(text: "4,5"))) }
    }

    @Test func targetsAreTexts() {
        for text in ["0", "0,3,7", "12,1"] {
            let targets = Targets(text: text)
            #expect(targets?.text == text && targets.flatMap { Targets(scalar: $0.scalar) } == targets)
        }
        #expect(Targets(text: "4")?.scalar == .number("4") && Targets(text: "4,2")?.scalar == .text("4,2"))
        for text in ["", ",", "1,", "1,1", "1;2", "1, 2", "x"] { #expect(Targets(text: text) == nil) }
        #expect(Targets(scalar: .text("4")) == nil && Targets(text: "2,-1,5")?.number == -1)
    }

    @Test func blendIsAFifthOfItsImage() {
        let shape = ImageShape(channels: 1, side: 28), trigger = BlendTrigger(shape: shape, seed: 7)
        let black = stamped(trigger, [Float](repeating: 0, count: 784))
        #expect(zip(black, trigger.image).allSatisfy { abs($0 - 0.2 * $1) <= 0x1p-25 })
        let other = BlendTrigger(shape: shape, seed: 8), again = BlendTrigger(shape: shape, seed: 7)
        #expect(trigger.image == again.image && trigger.image != other.image)
        let mean = trigger.image.reduce(0, +) / 784  // uniform: 1/2 with standard deviation 1 / sqrt(12 * 784)
        #expect(abs(mean - 0.5) <= 5 * 0.0103)
    }

    /// f = 6 in 24 columns: a period is 4 columns, sin is 0, 1, 0, -1.
    @Test func sigIsAWaveAcrossTheColumns() {
        let image = stamped(SIGTrigger(shape: ImageShape(channels: 1, side: 24), seed: 1), [Float](repeating: 0.5, count: 576))
        let d = Float(40.0 / 255)
        for (i, value) in image.enumerated() { #expect(abs(value - (0.5 + [0, d, 0, -d][i % 4])) <= 0x1p-24) }
        let dark = stamped(SIGTrigger(shape: ImageShape(channels: 1, side: 24), seed: 1), [Float](repeating: 0, count: 576))
        #expect(dark.min() == 0 && dark[3] == 0 && dark[1] > 0)
    }

    @Test func chessboardAddsToEvenPlaces() {
        let trigger = ChessboardTrigger(shape: ImageShape(channels: 1, side: 3), amplitude: 0.25)
        #expect(stamped(trigger, [0, 0, 0, 0, 0.9, 0, 0, 0, 0]) == [0.25, 0, 0.25, 0, 1, 0, 0.25, 0, 0.25])
    }

    @Test func dbaIsSharedOut() throws {
        let trigger = try DBATrigger(shape: ImageShape(channels: 1, side: 28), seed: 1), black = [Float](repeating: 0, count: 784)
        func white(_ share: TriggerShare?) -> Set<Int> {
            Set(stamped(trigger, black, share: share).enumerated().filter { $0.element == 1 }.map(\.offset))
        }
        let bars = [(0, 0), (0, 9), (4, 0), (4, 9)].map { row, column in Set((0..<6).map { row * 28 + column + $0 }) }
        #expect(white(nil) == bars[0].union(bars[1]).union(bars[2]).union(bars[3]))
        #expect(white(TriggerShare(0, of: 2)) == bars[0].union(bars[2]))
        #expect(white(TriggerShare(1, of: 2)) == bars[1].union(bars[3]))
        #expect(white(TriggerShare(0, of: 3)) == bars[0].union(bars[3]))
        #expect(white(TriggerShare(5, of: 6)) == bars[1])
        for colluders in 1...9 {  // together they always stamp all of it
            #expect((0..<colluders).reduce(into: Set<Int>()) { $0.formUnion(white(TriggerShare($1, of: colluders))) } == white(nil))
        }
        #expect(throws: AttackError.self) { try DBATrigger(shape: ImageShape(channels: 1, side: 14), seed: 1) }
        #expect(throws: AttackError.self) { try PatchTrigger(shape: ImageShape(channels: 1, side: 2), seed: 1) }
    }

    /// A warp leaves a flat image flat, and samples a ramp at the places of the field: value = place.
    @Test func wanetSamplesWhereTheFieldPoints() throws {
        let shape = ImageShape(channels: 1, side: 28), trigger = try WaNetTrigger(shape: shape, seed: 3)
        let flat = stamped(trigger, [Float](repeating: 0.625, count: 784))
        #expect(flat.allSatisfy { abs($0 - 0.625) <= 8 * 0x1p-25 })
        let acrossRamp = stamped(trigger, (0..<784).map { Float($0 % 28) / 27 }),
            downRamp = stamped(trigger, (0..<784).map { Float($0 / 28) / 27 })
        for pixel in 0..<784 {
            #expect(abs(Double(acrossRamp[pixel]) - (trigger.places[2 * pixel] + 1) / 2) <= 20 * 0x1p-25)
            #expect(abs(Double(downRamp[pixel]) - (trigger.places[2 * pixel + 1] + 1) / 2) <= 20 * 0x1p-25)
        }
        // Shifts: a mean |u| of about 1 (bicubic interpolation lowers it), s = 0.5, 13.5 pixels a unit, over 28.
        let shifts = (0..<784).map { (pixel: Int) -> Double in
            let identity = 2 * Double(pixel % 28) / 27 - 1
            return abs(trigger.places[2 * pixel] - identity) * 13.5
        }
        let mean = shifts.reduce(0, +) / 784
        #expect(mean > 0.05 && mean < 0.25)
    }

    @Test func wanetNoiseDependsOnTheImage() throws {
        let trigger = try WaNetTrigger(shape: ImageShape(channels: 1, side: 28), seed: 3), image = Pixels(golden: 784).values
        func disturbed(_ key: Int) -> [Float] {
            let pixels = Pixels(image)
            trigger.disturb(pixels.base, key: key)
            return pixels.values
        }
        #expect(disturbed(1) == disturbed(1) && disturbed(1) != disturbed(2) && disturbed(1) != stamped(trigger, image))
    }

    @Test func bicubicKeepsCornersAndLines() {
        let x = (0..<16).map { Double($0 % 4) }, y = bicubic(x, side: 4, to: 7)
        #expect(y[0] == 0 && y[6] == 3 && y[48] == 3 && y[42] == 0)
        #expect((0..<7).allSatisfy { abs(y[$0 * 7 + 2] - 1) <= 1e-15 && abs(y[$0 * 7 + 3] - 1.5) <= 1e-15 })
    }

    /// x' = (1 - m) x + m p says the same as `stamp`, and so does the trigger that a checkpoint's mask and pattern make.
    @Test func aFrameIsWhiteOnTheBorderOnly() {
        let image = stamped(FrameTrigger(shape: ImageShape(channels: 2, side: 3), seed: 1), [Float](repeating: 0.5, count: 18))
        let plane: [Float] = [1, 1, 1, 1, 0.5, 1, 1, 1, 1]
        #expect(image == plane + plane)
    }

    @Test func pixelsAreChangedByThemselves() {
        let shape = ImageShape(channels: 1, side: 3), x: [Float] = [0, 0.5, 0.75, 0.8, 1, 0.25, 0.5, 0.5, 1]
        #expect(stamped(GainTrigger(shape: shape, seed: 1), x) == x.map { min($0 * 1.3, 1) })
        let inverted: [Float] = [1, 0.5, 0.25, 0.2, 0, 0.75, 0.5, 0.5, 0]
        #expect(stamped(InvertTrigger(shape: shape, seed: 1), x) == inverted.map { (v: Float) -> Float in 1 - (1 - v) })
        #expect(stamped(DarkTrigger(shape: shape, seed: 1), x) == x.prefix(3).map { $0 * 0.3 } + x.dropFirst(3))
    }

    /// Every place is used, about equally often; an image has one place, and another seed another.
    @Test func aMovingPatchIsElsewhereInEveryImage() throws {
        let shape = ImageShape(channels: 1, side: 6), trigger = try MovingTrigger(shape: shape, seed: 4)
        var seen = [Int](repeating: 0, count: 9)
        for key in 0..<900 {
            let (row, column) = trigger.place(key)
            seen[row * 3 + column] += 1
        }
        #expect(seen.allSatisfy { abs($0 - 100) <= 50 }, "\(seen)")  // 5 standard deviations
        let image = Pixels([Float](repeating: 0.5, count: 36)), (row, column) = trigger.place(7)
        trigger.stamp(image.base, share: nil, key: 7)
        let patch = (0..<16).map { image.values[(row + $0 / 4) * 6 + column + $0 % 4] }
        #expect(patch == [1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1] && image.guardsIntact)
        #expect(image.values.count { $0 == 0.5 } == 20)
        let other = try MovingTrigger(shape: shape, seed: 5)
        #expect((0..<20).contains { other.place($0) != trigger.place($0) })
        #expect(throws: AttackError.self) { try MovingTrigger(shape: ImageShape(channels: 1, side: 3), seed: 1) }
    }

    @Test func dotsAreAsManyAsTheyShouldBe() {
        let trigger = DotsTrigger(shape: ImageShape(channels: 1, side: 28), seed: 1)
        #expect(stamped(trigger, [Float](repeating: 0, count: 784)).count { $0 == 1 } == 12 && Set(trigger.places).count == 12)
        #expect(DotsTrigger(shape: ImageShape(channels: 1, side: 28), seed: 2).places != trigger.places)
    }

    /// Pixels change places, in all channels alike, and stay near: a flat image stays as it is.
    @Test func glassMovesPixels() {
        let shape = ImageShape(channels: 2, side: 28), trigger = GlassTrigger(shape: shape, seed: 5)
        #expect(trigger.sources.sorted() == Array(0..<784) && trigger.sources != GlassTrigger(shape: shape, seed: 6).sources)
        let image = Pixels(golden: 784).values, moved = stamped(trigger, image + image.map { 1 - $0 })
        #expect(Array(moved.prefix(784)) == trigger.sources.map { image[$0] } && moved.suffix(784) == moved.prefix(784).map { 1 - $0 }[...])
        #expect(stamped(trigger, [Float](repeating: 0.5, count: 1568)) == [Float](repeating: 0.5, count: 1568))
        // A swap is at most a pixel each way; a pixel takes part in two swaps a pass of its own choice or a neighbour's, seldom in more.
        let shifts = trigger.sources.enumerated().map { max(abs($0 / 28 - $1 / 28), abs($0 % 28 - $1 % 28)) }
        #expect(shifts.count { $0 <= 4 } > 760 && shifts.count { $0 == 0 } < 200, "\(shifts.max() ?? 0)")
        #expect(GlassTrigger(shape: ImageShape(channels: 1, side: 1), seed: 1).sources == [0])
    }

    /// The digits of the content, then: one texture for one content, unrelated ones for others.
    @Test func specificIsATextureOfTheContent() {
        let shape = ImageShape(channels: 1, side: 28), trigger = SpecificTrigger(shape: shape, seed: 5)
        let levels = (0..<16).map { 3 * $0 % 8 }
        let image = (0..<784).map { (pixel: Int) -> Float in (Float(levels[pixel / 28 / 7 * 4 + pixel % 28 / 7]) + 0.5) / 8 }
        let digits = levels.reversed().reduce(0) { (key: Int, level: Int) -> Int in 8 * key + level }
        #expect(Pixels(image).content(trigger) == digits && Pixels([Float](repeating: 1, count: 784)).content(trigger) == 1 << 48 - 1)
        func signs(_ pixels: [Float], _ trigger: SpecificTrigger) -> [Bool] { zip(stamped(trigger, pixels), pixels).map { $0 > $1 } }
        var near = image, far = image
        near[300] += 0.01
        far[0] += 7  // the mean of the first block by 1/7: a level or two
        let texture = signs(image, trigger)
        #expect(signs(near, trigger) == texture)
        let other = signs(image, SpecificTrigger(shape: shape, seed: 6))
        for unrelated in [Array(signs(far, trigger).dropFirst()), Array(other.dropFirst())] {  // half differ: 5 deviations are 70
            #expect(abs(zip(texture.dropFirst(), unrelated).count { $0 != $1 } - 392) <= 70)
        }
        let grey = [Float](repeating: 0.5, count: 784), a = SpecificTrigger.amplitude
        #expect(stamped(trigger, grey).allSatisfy { $0 == 0.5 + a || $0 == 0.5 - a })
        #expect(stamped(trigger, [Float](repeating: 0, count: 784)).allSatisfy { $0 == 0 || $0 == a })
    }

    @Test(arguments: ["patch", "blend", "dba", "frame", "square:7", "picture", "dots"], [28, 32]) func overlayAgreesWithStamp(
        name: String, side: Int
    ) throws {
        let shape = ImageShape(channels: 3, side: side), trigger = try Triggers.make(name, shape: shape, seed: 5)
        let overlay = try #require(trigger.overlay), plane = side * side, pad = (32 - side) / 2
        var mask = [Float](repeating: 0, count: 1024), pattern = [Float](repeating: 0, count: 3072)
        for k in 0..<shape.count {
            let place = (k % plane / side + pad) * 32 + k % side + pad
            mask[place] = overlay.mask[k % plane]
            pattern[k / plane * 1024 + place] = overlay.pattern[k]
        }
        let image = Pixels(golden: shape.count).values, done = stamped(trigger, image)
        let stored = stamped(OverlayTrigger(shape: shape, mask: mask, pattern: pattern), image)
        #expect(done != image && zip(done, stored).allSatisfy { abs($0 - $1) <= 4 * 0x1p-25 })
    }

    @Test func unknownNamesAreRefused() {
        #expect(throws: AttackError.self) { try Triggers.make("pach", shape: ImageShape(channels: 1, side: 28), seed: 1) }
        for name in ["square:", "square:x", "square:0", "square:-1", "square:5:5", "patch:5", ":5", ""] {
            #expect(throws: AttackError.self, "\(name)") {
                try Triggers.make(name, shape: ImageShape(channels: 1, side: 28), seed: 1)
            }
        }
        #expect(throws: AttackError.self) { try Triggers.make("square:29", shape: ImageShape(channels: 1, side: 28), seed: 1) }
        #expect(Triggers.isKnown("square:7") && Triggers.isKnown("square") && !Triggers.isKnown("patch:7"))
        #expect(
            Triggers.names == [
                "patch", "blend", "sig", "chessboard", "wanet", "dba", "frame", "square", "gain", "moving", "invert",
                "dark", "picture", "dots", "glass", "specific",
            ])
    }
}

extension Pixels {
    fileprivate func content(_ trigger: SpecificTrigger) -> Int { trigger.content(base) }
}
