import Defenses
import Glibc
import Network

/// Refuses, before hours of work, a round that does not fit the memory of this machine.
enum Memory {
    /// Throws `RunError.incompatible` with the bytes that are needed and those that are there.
    static func require(_ rule: any AggregationRule, _ configuration: RunConfiguration, _ network: ClampNet) throws {
        let size = RoundSize(clients: configuration.clients, participants: configuration.participants, rounds: configuration.rounds,
                             modelBytes: network.parameterFloats * MemoryLayout<Float>.size)
        let needed = rule.memoryNeeded(size)
        guard let available, needed > available else { return }
        let streaming = AggregationRules.all.filter { $0 is any StreamingRule.Type }.map { $0.name }
        throw RunError.incompatible("\(type(of: rule).name) with \(size.participants) of \(size.clients) clients a round needs \(gigabytes(needed)) of memory, "
            + "there are \(gigabytes(available)): a lower --participation, fewer --clients, or a rule that takes updates one by one (\(streaming.joined(separator: ", ")))")
    }

    /// What this process may still take, by the machine, its control group and its own limits; nil where nothing says.
    static var available: Int? {
        let pages = [field("MemAvailable:", of: "/proc/meminfo").map { $0 * 1024 }, physical].compactMap { $0 }.prefix(1)
        let group = [field("", of: "/sys/fs/cgroup/memory.max"), field("", of: "/sys/fs/cgroup/memory/memory.limit_in_bytes")]
        return (pages + group.compactMap { $0 } + [limit(RLIMIT_AS), limit(RLIMIT_DATA)].compactMap { $0 }).min()
    }

    private static var physical: Int? {
        let pages = sysconf(Int32(_SC_PHYS_PAGES)), size = sysconf(Int32(_SC_PAGESIZE))
        return pages > 0 && size > 0 ? pages * size : nil
    }

    private static func limit(_ kind: __rlimit_resource) -> Int? {
        var limits = rlimit()
        return getrlimit(__rlimit_resource_t(kind.rawValue), &limits) == 0 ? Int(exactly: limits.rlim_cur) : nil
    }

    /// The number after `name` in a small text file.
    private static func field(_ name: String, of path: String) -> Int? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count).drop { $0 == " " }.prefix { $0.isNumber }) }
    }

    private static func gigabytes(_ bytes: Int) -> String { "\((Double(bytes) / 1e8).rounded() / 10) GB" }
}
