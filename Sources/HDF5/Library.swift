import CHDF5
import CPlatform
import Glibc

/// The door to the C library. HDF5 keeps its state in the process and only some builds have locks of their own, so every
/// call is made inside `locked`. No other file of the program calls HDF5 than those of this room.
enum Library {
    /// Recursive, because public functions of the room use each other. Made once, with the library's settings.
    private nonisolated(unsafe) static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        makeFree(mutex)
        H5dont_atexit()  // after a failed write HDF5 1.10 crashes in its exit handler; we close ourselves
        H5open()
        H5set_free_list_limits(0, 0, 0, 0, 0, 0)  // what HDF5 keeps for later use is not zeroed
        TextReference.register()
        H5PLset_loading_state(0)  // a file may name a filter; it must not make us load code
        return mutex
    }()

    private static func makeFree(_ mutex: UnsafeMutablePointer<pthread_mutex_t>) {
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
        pthread_mutex_init(mutex, &attributes)
    }

    /// In a copy of the process, made by the thread that is inside `locked`: the lock belonged to the original.
    static func isNowAlone() { makeFree(mutex) }

    static func locked<R>(_ body: () throws(HDF5Error) -> R) throws(HDF5Error) -> R {
        pthread_mutex_lock(mutex)
        // HDF5 1.10 gives a half-made list of links or attributes back where it finds one damaged, pointers that it never set
        // included. Zeros are harmless there, and make a trial in a copy of the process say what the original will do.
        zero_new_memory(1)
        defer {
            zero_new_memory(0)
            pthread_mutex_unlock(mutex)
        }
        // No printing: the stack goes into our errors. Each time, since builds with locks keep the setting for each thread.
        H5Eset_auto2(chdf5_H5E_DEFAULT(), nil, nil)
        return try body()
    }

    /// HDF5's error stack as text, innermost first, at most three levels. To be called before any other call to HDF5,
    /// each of which clears the stack.
    static func errorStack() -> String {
        final class Messages { var texts: [String] = [] }
        let messages = Messages()
        H5Ewalk2(
            chdf5_H5E_DEFAULT(), H5E_WALK_UPWARD,
            { _, entry, context in
                guard let entry, let context, let text = entry.pointee.desc else { return 0 }
                Unmanaged<Messages>.fromOpaque(context).takeUnretainedValue().texts.append(String(cString: text))
                return 0
            }, Unmanaged.passUnretained(messages).toOpaque())
        return messages.texts.isEmpty ? "(no message)" : messages.texts.prefix(3).map(shortened).joined(separator: "; ")
    }

    /// Messages about system calls go on with the time, a buffer's address, ...: what failed and errno's text are kept.
    private static func shortened(_ text: String) -> String {
        let quote = "error message = '"
        guard let colon = text.firstIndex(of: ":"), let start = text.indices.first(where: { text[$0...].hasPrefix(quote) }) else {
            return text
        }
        return text[..<colon] + ": " + text[start...].dropFirst(quote.count).prefix { $0 != "'" }
    }
}
