import HDF5

/// An array as own methods get and give it, in row order.
public struct OwnArray: Equatable, Sendable {
    public enum Values: Equatable, Sendable {
        case bytes([UInt8]), whole([Int64]), float([Float]), double([Double])
    }

    public var values: Values, shape: [Int]

    public init(_ values: Values, _ shape: [Int]) { (self.values, self.shape) = (values, shape) }

    public var count: Int { shape.reduce(1, *) }

    /// Bytes that it takes.
    public var bytes: Int {
        switch values {
        case .bytes: count
        case .float: 4 * count
        case .whole, .double: 8 * count
        }
    }

    /// As real numbers, whatever it holds.
    public var doubles: [Double] {
        switch values {
        case let .bytes(values): values.map { Double($0) }
        case let .whole(values): values.map { Double($0) }
        case let .float(values): values.map { Double($0) }
        case let .double(values): values
        }
    }
}

/// What a method remembers from round to round: arrays by name.
public typealias OwnState = [String: OwnArray]

extension HDF5File {
    public func write(_ name: String, _ array: OwnArray) throws(HDF5Error) {
        switch array.values {
        case let .bytes(values): try write(name, values, shape: array.shape)
        case let .whole(values): try write(name, values, shape: array.shape)
        case let .float(values): try write(name, values, shape: array.shape)
        case let .double(values): try write(name, values, shape: array.shape)
        }
    }

    /// The dataset `name`, numbers of any kind (NumPy's bool as bytes). Throws for more than `limit` bytes in memory.
    public func readArray(_ name: String, limit: Int) throws(HDF5Error) -> OwnArray {
        switch try info(of: name).kind {
        case .float(bytes: 8):
            let (values, shape) = try read(name, as: Double.self, limit: limit)
            return OwnArray(.double(values), shape)
        case .float:
            let (values, shape) = try read(name, as: Float.self, limit: limit)
            return OwnArray(.float(values), shape)
        case .integer(signed: false, bytes: 1), .enumeration(_, bytes: 1):
            let (values, shape) = try read(name, as: UInt8.self, limit: limit)
            return OwnArray(.bytes(values), shape)
        default:
            let (values, shape) = try read(name, as: Int64.self, limit: limit)
            return OwnArray(.whole(values), shape)
        }
    }

    /// A group of arrays. Throws for more than `limit` bytes together.
    public func readState(_ group: String, limit: Int) throws(HDF5Error) -> OwnState {
        var state: OwnState = [:], left = limit
        for name in try children(of: group) {
            let array = try readArray("\(group)/\(name)", limit: left)
            left -= array.bytes
            state[name] = array
        }
        return state
    }

    public func write(_ state: OwnState, group: String) throws(HDF5Error) {
        try createGroup(group)
        for (name, array) in state.sorted(by: { $0.key < $1.key }) { try write("\(group)/\(name)", array) }
    }
}
