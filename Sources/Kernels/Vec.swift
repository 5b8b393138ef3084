import KernelTable

// One source, compiled once per instruction set; the target's -D flag picks the width.
#if ISA_AVX512
    typealias Vec = SIMD16<Float>
#elseif ISA_AVX2
    typealias Vec = SIMD8<Float>
#else
    typealias Vec = SIMD4<Float>
#endif
let lanes = Vec.scalarCount

/// acc + a * b: fused where the target has FMA, two instructions elsewhere, where `addingProduct` would be one call of
/// libm's fmaf for each lane.
@_transparent
func madd(_ acc: Vec, _ a: Vec, _ b: Vec) -> Vec {
    #if FMA
        return acc.addingProduct(a, b)
    #else
        return acc + a * b
    #endif
}

// Addresses are multiples of the vector's size: every buffer starts on 64 bytes and holds blocks of 32 floats. Builtin
// loads and stores, because `loadUnaligned` may stay a call of a weak specialisation in a large function.

@_transparent
func load(_ p: UnsafePointer<Float>) -> Vec { UnsafeRawPointer(p).assumingMemoryBound(to: Vec.self).pointee }

@_transparent
func load(_ p: UnsafeMutablePointer<Float>) -> Vec { UnsafeRawPointer(p).assumingMemoryBound(to: Vec.self).pointee }

@_transparent
func store(_ v: Vec, _ p: UnsafeMutablePointer<Float>) { UnsafeMutableRawPointer(p).assumingMemoryBound(to: Vec.self).pointee = v }

/// Lanewise minimum and maximum by comparison, one instruction each; NaN in `a` yields `b`.
@_transparent
func vmin(_ a: Vec, _ b: Vec) -> Vec { b.replacing(with: a, where: a .< b) }

@_transparent
func vmax(_ a: Vec, _ b: Vec) -> Vec { b.replacing(with: a, where: a .> b) }
