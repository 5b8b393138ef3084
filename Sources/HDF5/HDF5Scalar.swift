import CHDF5

/// The kinds of elements that HDF5 can store, as far as this program tells them apart. `bytes` is the size of one.
public enum HDF5Kind: Hashable, Sendable, CustomStringConvertible {
    case integer(signed: Bool, bytes: Int)
    case float(bytes: Int)
    /// Fixed-length when `bytes` is not nil.
    case string(bytes: Int?)
    /// Integers of which some have names: NumPy's bool is one.
    case enumeration(signed: Bool, bytes: Int)
    /// Compounds, references, ...
    case other

    public var description: String {
        switch self {
        case .integer(let signed, let bytes): return "\(signed ? "int" : "uint")\(8 * bytes)"
        case .float(let bytes): return "float\(8 * bytes)"
        case .string(let bytes): return bytes.map { "string of \($0) bytes" } ?? "string of any length"
        case .enumeration(let signed, let bytes): return "enumeration of \(signed ? "int" : "uint")\(8 * bytes)"
        case .other: return "neither numbers nor text"
        }
    }
}

/// Numbers that datasets are read to and written from. On disk they are little endian.
public protocol HDF5Scalar: Sendable, BitwiseCopyable {
    static var kind: HDF5Kind { get }
    init?<S: BinaryInteger>(exactly value: S)
}

extension UInt8: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: false, bytes: 1) } }
extension UInt16: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: false, bytes: 2) } }
extension UInt32: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: false, bytes: 4) } }
extension UInt64: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: false, bytes: 8) } }
extension Int8: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: true, bytes: 1) } }
extension Int16: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: true, bytes: 2) } }
extension Int32: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: true, bytes: 4) } }
extension Int64: HDF5Scalar { public static var kind: HDF5Kind { .integer(signed: true, bytes: 8) } }
extension Float: HDF5Scalar { public static var kind: HDF5Kind { .float(bytes: 4) } }
extension Double: HDF5Scalar { public static var kind: HDF5Kind { .float(bytes: 8) } }

extension HDF5Kind {
    /// HDF5's types for a number in memory and in a file; nil for what is not a number of ours.
    var numberTypes: (memory: hid_t, file: hid_t)? {
        switch self {
        case .integer(false, 1): return (chdf5_H5T_NATIVE_UINT8(), chdf5_H5T_STD_U8LE())
        case .integer(false, 2): return (chdf5_H5T_NATIVE_UINT16(), chdf5_H5T_STD_U16LE())
        case .integer(false, 4): return (chdf5_H5T_NATIVE_UINT32(), chdf5_H5T_STD_U32LE())
        case .integer(false, 8): return (chdf5_H5T_NATIVE_UINT64(), chdf5_H5T_STD_U64LE())
        case .integer(true, 1): return (chdf5_H5T_NATIVE_INT8(), chdf5_H5T_STD_I8LE())
        case .integer(true, 2): return (chdf5_H5T_NATIVE_INT16(), chdf5_H5T_STD_I16LE())
        case .integer(true, 4): return (chdf5_H5T_NATIVE_INT32(), chdf5_H5T_STD_I32LE())
        case .integer(true, 8): return (chdf5_H5T_NATIVE_INT64(), chdf5_H5T_STD_I64LE())
        case .float(4): return (chdf5_H5T_NATIVE_FLOAT(), chdf5_H5T_IEEE_F32LE())
        case .float(8): return (chdf5_H5T_NATIVE_DOUBLE(), chdf5_H5T_IEEE_F64LE())
        default: return nil
        }
    }

    /// What a type in a file is. Reads only; a type that HDF5 cannot describe is `.other`.
    init(type: hid_t) {
        let bytes = H5Tget_size(type)
        switch H5Tget_class(type) {
        case H5T_INTEGER where bytes <= 8: self = .integer(signed: H5Tget_sign(type) == H5T_SGN_2, bytes: Int(bytes))
        case H5T_ENUM where bytes <= 8: self = Self.enumeration(type, bytes: Int(bytes))
        case H5T_FLOAT where bytes <= 8: self = .float(bytes: Int(bytes))
        case H5T_STRING: self = .string(bytes: H5Tis_variable_str(type) > 0 ? nil : Int(bytes))
        default: self = .other
        }
    }

    private static func enumeration(_ type: hid_t, bytes: Int) -> HDF5Kind {
        let base = Handle(H5Tget_super(type))
        return base.id >= 0 ? .enumeration(signed: H5Tget_sign(base.id) == H5T_SGN_2, bytes: bytes) : .other
    }

    /// How values stored as `self` come into memory as `wanted`: directly, through 64 bits with a check of each value
    /// (HDF5 itself clips what does not fit, silently), or not at all. Integers never become floats or the reverse.
    func conversion(to wanted: HDF5Kind) -> Conversion? {
        switch (self, wanted) {
        case (.float, .float): return .direct
        case (.integer(let s, let n), .integer(let t, let m)), (.enumeration(let s, let n), .integer(let t, let m)):
            if s == t && n <= m || !s && t && n < m { return .direct }
            return s ? .checkedSigned : .checkedUnsigned
        default: return nil
        }
    }

    enum Conversion { case direct, checkedSigned, checkedUnsigned }
}
