import Glibc
import OwnMethods
import Tensor

/// A trigger that a user's program stamps (`exec:PROGRAM`): it may depend on the image, as a warp does. Images go to it
/// and come back as files hold them, uint8 (n, channels, side, side), many at a time and before anything is trained:
/// `prepare` is told of every image that will be stamped. What came back is kept by the image's content.
public struct OwnTrigger: Trigger {
    public static let name = "exec"
    let method: OwnMethod
    private let shape: ImageShape
    private let stamps: OwnStamps

    /// Throws `OwnMethodError.notGranted` for a program that the command line did not name.
    init(_ method: OwnMethod, shape: ImageShape, seed: UInt64) throws {
        (self.method, self.shape) = (method, shape)
        stamps = OwnStamps.shared(method, try OwnMethods.program(method), shape, seed)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) { stamps.stamp(image) }

    public func prepare(_ count: Int, image: (Int) -> [UInt8]) throws { try stamps.prepare(count, image) }
    public func check() throws { try stamps.check() }
}

/// What a program made of images, by their content.
private final class OwnStamps: @unchecked Sendable {
    private let method: OwnMethod, program: OwnProgram, shape: ImageShape, seed: UInt64
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    // Under `mutex`.
    private var known: [UInt64: [UInt8]] = [:], failure: (any Error)?

    /// Images of one question.
    private static let batch = 4_096

    // One at a time is kept: floors and attacked trainings of one seed share it, and it has a stamped copy of each image.
    private nonisolated(unsafe) static var last: OwnStamps?
    private nonisolated(unsafe) static let lastMutex: UnsafeMutablePointer<pthread_mutex_t> = {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        return mutex
    }()

    static func shared(_ method: OwnMethod, _ program: OwnProgram, _ shape: ImageShape, _ seed: UInt64) -> OwnStamps {
        pthread_mutex_lock(lastMutex)
        defer { pthread_mutex_unlock(lastMutex) }
        if let last, last.method == method, last.shape == shape, last.seed == seed { return last }
        let new = OwnStamps(method, program, shape, seed)
        last = new
        return new
    }

    init(_ method: OwnMethod, _ program: OwnProgram, _ shape: ImageShape, _ seed: UInt64) {
        (self.method, self.program, self.shape, self.seed) = (method, program, shape, seed)
        pthread_mutex_init(mutex, nil)
    }

    deinit { mutex.deallocate() }

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Stamps an image; leaves it as it was where the program failed, which `check` says. Takes no memory for images
    /// that `prepare` was told of.
    func stamp(_ image: UnsafeMutablePointer<Float>) {
        let key = Self.key(shape.count) { UInt8((image[$0] * 255).rounded()) }
        locked {
            if known[key] == nil {
                let bytes = (0..<shape.count).map { UInt8((image[$0] * 255).rounded()) }
                do { try ask([bytes]) } catch { failure = failure ?? error }
            }
            guard let stamped = known[key] else { return }
            for k in 0..<shape.count { image[k] = Float(stamped[k]) / 255 }
        }
    }

    func check() throws {
        if let failure = locked({ failure }) { throw failure }
    }

    /// Has all these images stamped.
    func prepare(_ count: Int, _ image: (Int) -> [UInt8]) throws {
        try locked {
            var open: [[UInt8]] = [], seen: Set<UInt64> = []
            for i in 0..<count {
                let image = image(i), key = Self.key(image)
                if known[key] == nil, seen.insert(key).inserted { open.append(image) }
                if open.count == Self.batch { try ask(open); open = [] }
            }
            if !open.isEmpty { try ask(open) }
        }
    }

    private func ask(_ images: [[UInt8]]) throws {
        let size = [images.count, shape.channels, shape.side, shape.side]
        let pictures = OwnArray(.bytes(images.flatMap { $0 }), size)
        let request = OwnRequest(["seed": .seed(seed, method)], [("images", pictures)], allowed: ["images"])
        let answer = try program.ask(.trigger, request)
        guard let array = try answer.array("images", shape: size) else { throw answer.wrong("images", "none") }
        guard case let .bytes(pixels) = array.values else {
            throw answer.wrong("images as uint8, 0 to 255", "another kind of numbers")
        }
        for (i, image) in images.enumerated() {
            known[Self.key(image)] = Array(pixels[i * shape.count..<(i + 1) * shape.count])
        }
    }

    /// 64 bits of the content: two of a million images have the same with a chance of 3 in 100 million.
    private static func key(_ count: Int, _ byte: (Int) -> UInt8) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for first in stride(from: 0, to: count, by: 8) {  // images have a multiple of 8 bytes: 28 x 28, 32 x 32
            var word: UInt64 = 0
            for k in first..<first + 8 { word = word << 8 | UInt64(byte(k)) }
            hash = (hash ^ word) &* 0xBF58_476D_1CE4_E5B9
            hash ^= hash >> 29
        }
        return hash
    }

    private static func key(_ image: [UInt8]) -> UInt64 { key(image.count) { image[$0] } }
}
