import Testing
@testable import Datasets

@Suite struct SHA256Tests {
    /// FIPS 180-4 examples, and the lengths around which padding changes (made with sha256sum).
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func known(text: String, digest: String) { #expect(SHA256.hexadecimal(of: Array(text.utf8)) == digest) }

    @Test func aMillionLetters() {
        #expect(
            SHA256.hexadecimal(of: [UInt8](repeating: 0x61, count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func piecesGiveTheDigestOfTheWhole() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for size in 1...130 {
            var hash = SHA256()
            for start in stride(from: 0, to: bytes.count, by: size) { hash.update(Array(bytes[start..<min(start + size, bytes.count)])) }
            #expect(hash.hexadecimal() == SHA256.hexadecimal(of: bytes))
        }
    }
}
