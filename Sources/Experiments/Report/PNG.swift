import CZlib

/// Small images as PNG files, with zlib for the compression and the check sums.
enum PNG {
    /// Images side by side with `gap` grey pixels between them.
    ///
    /// - Parameter pixels: (count, channels, side, side) bytes; 1 channel is grey, 3 are red, green and blue.
    static func strip(_ pixels: [UInt8], channels: Int, side: Int, gap: Int = 2) -> [UInt8] {
        let count = pixels.count / (channels * side * side), width = count * (side + gap) - gap
        var rows: [UInt8] = []
        for y in 0..<side {
            rows.append(0)  // no filter
            for image in 0..<count {
                for x in 0..<side {
                    for c in 0..<channels { rows.append(pixels[((image * channels + c) * side + y) * side + x]) }
                }
                if image + 1 < count { rows += repeatElement(160, count: gap * channels) }
            }
        }
        let header = big(width) + big(side) + [8, channels == 3 ? 2 : 0, 0, 0, 0]  // 8 bits; colour or grey
        return [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] + chunk("IHDR", header) + chunk("IDAT", deflated(rows)) + chunk("IEND", [])
    }

    private static func chunk(_ kind: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(kind.utf8) + data
        return big(data.count) + body + big(Int(crc32(0, body, uInt(body.count))))
    }

    private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        var length = compressBound(uLong(bytes.count))
        var status = Z_OK
        let output = [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
            status = compress2(buffer.baseAddress, &length, bytes, uLong(bytes.count), 9)
            count = status == Z_OK ? Int(length) : 0
        }
        precondition(status == Z_OK, "the output holds compressBound bytes")
        return output
    }

    private static func big(_ n: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: n >> $0) } }
}
