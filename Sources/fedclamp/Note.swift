import Glibc
import HDF5

/// A line for people, to stderr.
func note(_ text: String) { _ = write(2, printable(text) + "\n") }

/// Without what a terminal would obey: names in files from elsewhere may hold it.
func printable(_ text: String) -> String {
    func isObeyed(_ byte: UInt8) -> Bool { byte < 0x20 && byte != UInt8(ascii: "\n") && byte != UInt8(ascii: "\t") || byte == 0x7f }
    guard text.utf8.contains(where: isObeyed) else { return text }
    return String(decoding: text.utf8.map { isObeyed($0) ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
}

/// All of `text` to a descriptor, bytes of paths that are no UTF-8 as "\xE9"; false with errno when that fails.
@discardableResult
func write(_ descriptor: Int32, _ text: String) -> Bool {
    var text = Files.shown(text)
    return text.withUTF8 { bytes in
        var done = 0
        while done < bytes.count {
            let n = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if n < 0 && errno != EINTR { return false }
            done += max(0, n)
        }
        return true
    }
}
