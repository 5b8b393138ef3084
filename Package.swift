// swift-tools-version:6.0
import PackageDescription

/// The kernels of Sources/Kernels, compiled for one instruction set. Sources/KernelsAVX2 and KernelsAVX512 are links to it.
func kernels(_ name: String, path: String, march: String? = nil, _ defines: [String] = []) -> Target {
    let flags = ["-O", "-disable-cmo"] + (march.map { ["-Xcc", "-march=\($0)"] } ?? [])
    return .target(
        name: name, dependencies: ["KernelTable"], path: path,
        swiftSettings: [.unsafeFlags(flags), .enableUpcomingFeature("InferSendableFromCaptures")] + defines.map { .define($0) })
}

#if arch(x86_64)
    let x86 = Context.environment["CROSS"] == nil  // the manifest runs on the host; CROSS=aarch64 says that is not the target
#else
    let x86 = false
#endif
let variants =
    x86
    ? [
        kernels("KernelsAVX2", path: "Sources/KernelsAVX2", march: "x86-64-v3", ["ISA_AVX2", "FMA"]),
        kernels("KernelsAVX512", path: "Sources/KernelsAVX512", march: "x86-64-v4", ["ISA_AVX512", "FMA"]),
    ] : []
let kernelModules: [Target.Dependency] = (["KernelsBaseline"] + variants.map(\.name)).map { .target(name: $0) }

/// One room of the house. Rooms stand in the order in which data flows; a room imports only rooms before it.
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies)
}

func tests(_ room: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(name: room + "Tests", dependencies: [.target(name: room), "Scratch"] + dependencies, exclude: exclude)
}

/// Where the defences are; `Defenses` lists them all.
let defenseRooms: [Target.Dependency] = ["Bounds", "ModelDefenses", "DataDefenses", "Detection", "Rules", "Numerics", "DefenseInterface"]
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
// The sanitizers' runtimes are shared libraries, which a static executable cannot have: SANITIZE=1 leaves it dynamic.
let staticLink =
    Context.environment["SANITIZE"] != nil
    ? []
    : [
        "-static-executable", "-l_FoundationCShims", "-l_FoundationCollections", "-lswiftSynchronization",
        "-lswift_Concurrency", "-lswift_StringProcessing", "-lswift_RegexParser", "-lswiftDispatch",
        "-Xlinker", "--wrap=malloc",  // Sources/CPlatform/ZeroedMemory.c
        "-Xlinker", "--wrap=H5F_block_read",
    ]  // Sources/CPlatform/BlockRead.c

// LINK_MAP=FILE: the linker lists there what it links in (tools/dist/licences.py reads it).
let linkMap: [String] = Context.environment["LINK_MAP"].map { ["-Xlinker", "-Map=\($0)"] } ?? []
let linkFlags: [String] = staticLink + linkMap

// FUZZ=1, with --sanitize=fuzzer: the text readers under libFuzzer, whose own `main` runs them (make torture).
let fuzzing: [Target] =
    Context.environment["FUZZ"] == nil
    ? []
    : [
        .executableTarget(
            name: "fuzz", dependencies: ["HDF5", "Datasets", "Experiments"], path: "Tests/fuzz",
            swiftSettings: [.unsafeFlags(["-parse-as-library"])])
    ]

// DOCS=1: the plugin that makes pages of the doc comments (make docs). No other build fetches it.
let documenting: [Package.Dependency] =
    Context.environment["DOCS"] == nil
    ? []
    : [
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0")
    ]

let package = Package(
    name: "fedclamp",
    dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")] + documenting,
    targets: [
        .systemLibrary(name: "CHDF5"),
        .systemLibrary(name: "CZlib"),
        .target(name: "CPlatform"),
        room("HDF5", ["CHDF5", "CPlatform"]),
        room("Tensor", ["CPlatform"]),
        .target(name: "KernelTable"),
        kernels("KernelsBaseline", path: "Sources/Kernels", x86 ? [] : ["FMA"]),
        room("Network", ["CPlatform", "Tensor", "KernelTable"] + kernelModules),
        room("Options", []),
        room("Datasets", ["HDF5", "Tensor", "CZlib", "Options"]),
        room("OwnMethods", ["Network", "Datasets", "HDF5"]),
        room("Attacks", ["OwnMethods", "Options", "Datasets", "Network", "Tensor", "HDF5"]),
        room("Numerics", ["Datasets", "Tensor"]),
        room("DefenseInterface", ["Options", "Attacks", "Datasets", "Network", "Tensor"]),
        room(
            "Rules",
            ["OwnMethods", "Options", "Attacks", "DefenseInterface", "Numerics", "Datasets", "Network", "Tensor", "KernelTable"]),
        room("Detection", ["Options", "DefenseInterface", "Numerics", "Attacks", "Datasets", "Network", "Tensor"]),
        room("Bounds", ["Detection", "DefenseInterface", "Numerics", "Attacks", "Datasets", "Network", "Tensor"]),
        room("ModelDefenses", ["OwnMethods", "DefenseInterface", "Numerics", "Attacks", "Datasets", "Network", "Tensor"]),
        room("DataDefenses", ["Options", "DefenseInterface", "Numerics", "Attacks", "Datasets", "Network", "Tensor"]),
        room("Defenses", ["OwnMethods", "Options"] + defenseRooms),
        room(
            "Federation",
            ["CPlatform", "OwnMethods", "Options", "Defenses", "Attacks", "Datasets", "Network", "Tensor", "HDF5"] + defenseRooms),
        room(
            "Experiments",
            ["OwnMethods", "Options", "Federation", "Defenses", "Attacks", "Datasets", "Network", "Tensor", "HDF5", "CZlib"] + defenseRooms),
        .executableTarget(
            name: "fedclamp",
            dependencies: [
                "CPlatform", "OwnMethods", "Options", "Experiments", "Federation", "Defenses", "Attacks", "Datasets",
                "Network", "Tensor", "HDF5", argumentParser,
            ] + defenseRooms,
            linkerSettings: [.unsafeFlags(linkFlags)]),
        .target(name: "Scratch", path: "Tests/Scratch"),  // temporary folders for tests
        .target(name: "GoldenInputs", dependencies: ["Network"], path: "Tests/GoldenInputs"),  // of tools/oracle.py
        .target(name: "Allocations", path: "Tests/Allocations"),  // counts them, in test bundles
        tests("HDF5", ["CHDF5", "CPlatform"]),
        tests("Options"),
        tests("OwnMethods", ["HDF5", "Datasets"]),
        tests("Datasets", ["HDF5", "Tensor", "CZlib"]),
        .testTarget(name: "AttacksTests", dependencies: ["Attacks", "Datasets", "HDF5"], exclude: ["Golden"]),
        .testTarget(
            name: "DefensesTests",
            dependencies: defenseRooms + [
                "Options", "Defenses", "Attacks", "Datasets", "Network", "Tensor", "HDF5", "Scratch", "GoldenInputs",
            ], exclude: ["Golden"]),
        tests(
            "Experiments",
            defenseRooms + ["Options", "Federation", "Defenses", "Attacks", "Datasets", "Network", "Tensor", "HDF5", "CZlib"]),
        tests(
            "Federation",
            defenseRooms + ["OwnMethods", "Options", "Allocations", "Attacks", "Datasets", "Defenses", "Network", "Tensor", "HDF5"],
            exclude: ["Golden"]),
        .testTarget(name: "NetworkTests", dependencies: ["Network", "HDF5", "Tensor", "GoldenInputs"], exclude: ["Golden"]),
    ] + variants + fuzzing,
    swiftLanguageModes: [.v5]
)
