import KernelTable

#if ISA_AVX512
    private let setName: StaticString = "avx512"
#elseif ISA_AVX2
    private let setName: StaticString = "avx2"
#else
    private let setName: StaticString = "baseline"
#endif

/// The one public name of this module.
public func kernelTable() -> KernelTable {
    KernelTable(
        name: setName, lanes: lanes, gemm: gemm, tileInput: tileInput, tileOutput: tileOutput,
        tileGradient: tileGradient, weightTiles: weightTiles, weightGradient: weightGradient, pool: pool,
        poolBackward: poolBackward, boundBackward: boundBackward, channelMaxima: channelMaxima, biasRelu: biasRelu, clamp: clamp, sgd: sgd,
        add: add, transpose: transpose, exchangeRows: exchangeRows, widen: widen, pairProducts: pairProducts, pairDistances: pairDistances,
        peak: peak)
}
