/// Floats in one channel block. Every hidden tensor holds its channels in blocks of 32, whatever the instruction set,
/// so a pixel of a block is 128 bytes: two AVX-512, four AVX2 or eight baseline vectors.
public let channelBlock = 32

/// A matrix operand read in place. Element (row, k) with k = outer * innerCount + inner stands at
/// base + row * rowStride + outer * outerStride + inner * innerStride.
@frozen public struct Operand {
    public var base: UnsafePointer<Float>
    public var rowStride: Int, outerStride: Int, innerStride: Int

    @inlinable @inline(__always)
    public init(_ base: UnsafePointer<Float>, rowStride: Int, outerStride: Int = 0, innerStride: Int) {
        self.base = base
        self.rowStride = rowStride
        self.outerStride = outerStride
        self.innerStride = innerStride
    }
}

/// A batch of feature maps in blocked layout: (images, channels / 32, height + 2, width + 2, 32) with a border of one
/// pixel that is always zero, so that a 3x3 window never leaves the buffer.
@frozen public struct Maps {
    public var base: UnsafeMutablePointer<Float>
    public var side: Int  // height = width, without the border
    public var blocks: Int  // channels / 32

    @inlinable @inline(__always)
    public init(_ base: UnsafeMutablePointer<Float>, side: Int, blocks: Int) {
        self.base = base
        self.side = side
        self.blocks = blocks
    }

    @inlinable @inline(__always)
    public var rowFloats: Int { (side + 2) * channelBlock }
    @inlinable @inline(__always)
    public var blockFloats: Int { (side + 2) * rowFloats }
    @inlinable @inline(__always)
    public var imageFloats: Int { blocks * blockFloats }
    /// First float of the interior pixel (0, 0) of a block.
    @inlinable @inline(__always)
    public func interior(image: Int, block: Int) -> UnsafeMutablePointer<Float> {
        base + image * imageFloats + block * blockFloats + rowFloats + channelBlock
    }
}

/// Tiles of a Winograd transform: (36 positions, blocks, tiles, 32). Positions are `positionStride` floats apart, which
/// is no multiple of 4096 bytes: otherwise the 36 streams would fall into the same cache set.
@frozen public struct Tiles {
    public var base: UnsafeMutablePointer<Float>
    public var count: Int
    public var blocks: Int

    @inlinable @inline(__always)
    public init(_ base: UnsafeMutablePointer<Float>, count: Int, blocks: Int) {
        self.base = base
        self.count = count
        self.blocks = blocks
    }

    @inlinable @inline(__always)
    public var blockFloats: Int { count * channelBlock }
    @inlinable @inline(__always)
    public var positionStride: Int { blocks * blockFloats + channelBlock }
    @inlinable @inline(__always)
    public static func floats(count: Int, blocks: Int) -> Int { 36 * (blocks * count + 1) * channelBlock }
}

/// The operations that are compiled once per instruction set. Only pointers and scalars cross this border.
public struct KernelTable: Sendable {
    public typealias Floats = UnsafePointer<Float>
    public typealias MutableFloats = UnsafeMutablePointer<Float>

    /// "baseline", "avx2" or "avx512".
    public var name: StaticString
    public var lanes: Int

    /// C(rows, 32) = A(rows, k) B(k, 32), or C += where `accumulate`. k = outer * inner; row k of B stands at
    /// b.base + outer * b.outerStride + inner * b.innerStride (rowStride unused); row r of C at c + r * cStride.
    public typealias Gemm =
        @Sendable (
            _ rows: Int, _ outer: Int, _ inner: Int, _ a: Operand, _ b: Operand,
            _ c: MutableFloats, _ cStride: Int, _ accumulate: Bool
        ) -> Void
    /// Winograd input transform B^T d B of `tiles.count` tiles from number `first` on; d = min(a, z) with z per channel
    /// (+inf where nothing is bounded).
    public typealias TileInput = @Sendable (_ maps: Maps, _ bound: Floats, _ first: Int, _ tiles: Tiles) -> Void
    /// Winograd output transform A^T m A, then relu(. + bias) when there is a bias, into the interior of `maps`.
    public typealias TileOutput = @Sendable (_ tiles: Tiles, _ bias: Floats?, _ first: Int, _ maps: Maps) -> Void
    /// The adjoint of the output transform, A dy A^T, for weight gradients.
    public typealias TileGradient = @Sendable (_ maps: Maps, _ first: Int, _ tiles: Tiles) -> Void
    /// U = G g G^T of one panel: w (9 taps, rows, 32) at stride `tapStride` to u (36, rows, 32) at stride `positionStride`.
    public typealias WeightTiles =
        @Sendable (_ w: Floats, _ tapStride: Int, _ floats: Int, _ u: MutableFloats, _ positionStride: Int) -> Void
    /// dw += G^T du G, the adjoint of `weightTiles`.
    public typealias WeightGradient =
        @Sendable (_ du: Floats, _ positionStride: Int, _ floats: Int, _ dw: MutableFloats, _ tapStride: Int) -> Void
    /// 2x2 max of min(a, z). The result has a border when `border` is set, else it is dense (images, blocks, side/2, side/2, 32).
    public typealias Pool = @Sendable (_ maps: Maps, _ bound: Floats, _ images: Int, _ y: MutableFloats, _ border: Bool) -> Void
    /// Backward of `pool`, bound and ReLU in one: dy to da (which may have the border of `maps`), adding to db and dz.
    /// Ties go to the first in row order; at a = z the gradient goes to a.
    public typealias PoolBackward =
        @Sendable (
            _ maps: Maps, _ bound: Floats, _ images: Int, _ dy: Floats, _ border: Bool,
            _ da: Maps, _ db: MutableFloats, _ dz: MutableFloats
        ) -> Void
    /// Backward of bound and ReLU in place over the interior of `da`: 0 < a <= z passes, a > z goes to dz.
    public typealias BoundBackward =
        @Sendable (_ maps: Maps, _ bound: Floats, _ images: Int, _ da: Maps, _ db: MutableFloats, _ dz: MutableFloats) -> Void
    /// Largest min(a, z) of every channel of one image, (blocks, 32).
    public typealias ChannelMaxima = @Sendable (_ maps: Maps, _ bound: Floats, _ image: Int, _ y: MutableFloats) -> Void
    /// y = relu(x + bias) over `count` pixels of 32 channels, in place.
    public typealias BiasRelu = @Sendable (_ x: MutableFloats, _ count: Int, _ bias: Floats) -> Void
    /// y = min(x, z) elementwise.
    public typealias Clamp = @Sendable (_ x: Floats, _ z: Floats, _ count: Int, _ y: MutableFloats) -> Void
    /// w -= rate * v with v = momentum * v + (g + decay * w), and g = 0 for the next step.
    public typealias Sgd =
        @Sendable (
            _ w: MutableFloats, _ v: MutableFloats, _ g: MutableFloats, _ count: Int,
            _ rate: Float, _ momentum: Float, _ decay: Float
        ) -> Void
    /// y += x.
    public typealias Add = @Sendable (_ y: MutableFloats, _ x: Floats, _ count: Int) -> Void
    /// (rows, columns) to (columns, rows), rows and columns multiples of 32, with leading dimensions.
    public typealias Transpose =
        @Sendable (_ x: Floats, _ xStride: Int, _ y: MutableFloats, _ yStride: Int, _ rows: Int, _ columns: Int) -> Void
    public typealias MutableDoubles = UnsafeMutablePointer<Double>
    /// For each of `count` pairs of rows of `width` floats, in order: of every column the smaller value goes to the first row, the larger
    /// one to the second.
    public typealias ExchangeRows = @Sendable (_ rows: MutableFloats, _ width: Int, _ pairs: UnsafePointer<Int32>, _ count: Int) -> Void
    /// `groups` times eight floats of x as doubles, less those of `origin`, into row `row` of y, which `pairProducts` and `pairDistances`
    /// read: `strip` rows of 8 * groups doubles.
    public typealias Widen =
        @Sendable (_ x: Floats, _ origin: Floats?, _ groups: Int, _ y: MutableDoubles, _ row: Int, _ strip: Int) -> Void
    /// sums(i, j, 8) += products or squared differences of rows a(i) and b(j), in eight interleaved parts; where `lower`, of pairs with
    /// j <= i at least. Whole tiles are computed: a, b and sums have rows up to a multiple of 8, columns up to one of 3.
    public typealias PairSums =
        @Sendable (
            _ a: UnsafePointer<Double>, _ rows: Int, _ b: UnsafePointer<Double>, _ columns: Int, _ lower: Bool, _ groups: Int,
            _ strip: Int, _ sums: MutableDoubles, _ sumStride: Int
        ) -> Void
    /// Runs `iterations` rounds of independent fused multiply-adds and returns the floating-point operations done.
    public typealias Peak = @Sendable (_ iterations: Int) -> Int

    public var gemm: Gemm
    public var tileInput: TileInput
    public var tileOutput: TileOutput
    public var tileGradient: TileGradient
    public var weightTiles: WeightTiles
    public var weightGradient: WeightGradient
    public var pool: Pool
    public var poolBackward: PoolBackward
    public var boundBackward: BoundBackward
    public var channelMaxima: ChannelMaxima
    public var biasRelu: BiasRelu
    public var clamp: Clamp
    public var sgd: Sgd
    public var add: Add
    public var transpose: Transpose
    public var exchangeRows: ExchangeRows
    public var widen: Widen
    public var pairProducts: PairSums
    public var pairDistances: PairSums
    public var peak: Peak

    public init(
        name: StaticString, lanes: Int,
        gemm: @escaping Gemm, tileInput: @escaping TileInput, tileOutput: @escaping TileOutput,
        tileGradient:
            @escaping TileGradient, weightTiles: @escaping WeightTiles, weightGradient: @escaping WeightGradient,
        pool: @escaping Pool, poolBackward: @escaping PoolBackward, boundBackward: @escaping BoundBackward,
        channelMaxima: @escaping ChannelMaxima, biasRelu: @escaping BiasRelu, clamp: @escaping Clamp, sgd: @escaping Sgd,
        add: @escaping Add,
        transpose:
            @escaping Transpose, exchangeRows: @escaping ExchangeRows, widen: @escaping Widen, pairProducts: @escaping PairSums,
        pairDistances: @escaping PairSums,
        peak: @escaping Peak
    ) {
        self.name = name
        self.lanes = lanes
        self.gemm = gemm
        self.tileInput = tileInput
        self.tileOutput = tileOutput
        self.tileGradient = tileGradient
        self.weightTiles = weightTiles
        self.weightGradient = weightGradient
        self.pool = pool
        self.poolBackward = poolBackward
        self.boundBackward = boundBackward
        self.channelMaxima = channelMaxima
        self.biasRelu = biasRelu
        self.clamp = clamp
        self.sgd = sgd
        self.add = add
        self.transpose = transpose
        self.exchangeRows = exchangeRows
        self.widen = widen
        self.pairProducts = pairProducts
        self.pairDistances = pairDistances
        self.peak = peak
    }
}
