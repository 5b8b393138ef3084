/// The numbers of the paper's tables I to III, in percent, as printed.
///
/// Source: Bi and Li, arXiv 2410.17573 v3 (IEEE IRI 2025). A line is a table, setting, data set, partition, attack and trigger, then for
/// each defence, by our name, its accuracy, its loss of accuracy against no defence, and its attack success; "-" where none is printed.
/// "bounds-paper" is what the paper calls its own. One pair of "pruning" stands in two settings of table I, as in the print.
enum PrintedTables {
    static let text = """
        I cross-silo cifar-10 iid fm patch: \
        none 81.56 - 92.67, norm-clip - 3.14 72.42, dp - 15.28 80.24, krum - 1.72 93.36, clip-cluster - 0.5 92.83, \
        sign-guard - 0.21 92.77, rfout - 0.02 92.84, pruning - 0.56 84.79, bounds-paper - 3.14 4.68
        I cross-silo cifar-10 dirichlet:0.1 fm patch: \
        none 94.33 - 90.43, norm-clip - 0.74 71.13, dp - 18.45 69.27, krum - 44.44 83.7, clip-cluster - 0.28 89.4, \
        sign-guard - 0.2 89.8, rfout - 0.29 90.43, pruning - 0.67 62.98, bounds-paper - 0.16 19.15
        I cross-silo cifar-100 iid fm patch: \
        none 37.9 - 88.99, norm-clip - 3.46 70.13, dp - 15.9 67.18, krum - 1.14 87.09, clip-cluster - 0.08 89.0, \
        sign-guard - 0.0 88.99, rfout - 0.12 88.98, pruning - 1.22 77.84, bounds-paper - 4.7 8.34
        I cross-silo cifar-100 dirichlet:0.1 fm patch: \
        none 60.65 - 81.61, norm-clip - 3.75 45.51, dp - 3.99 43.74, krum - 12.74 79.17, clip-cluster - 0.45 79.99, \
        sign-guard - 0.19 81.12, rfout - 0.02 81.5, pruning - 1.89 64.85, bounds-paper - 4.6 2.47
        I cross-device cifar-10 iid fm patch: \
        none 63.92 - 96.31, norm-clip - 4.41 95.53, dp - 6.41 96.29, krum - 0.3 96.32, clip-cluster - 0.12 96.37, \
        sign-guard - 0.02 96.39, rfout - 0.24 96.35, pruning - 0.56 84.79, bounds-paper - 4.08 11.81
        I cross-device cifar-10 dirichlet:0.1 fm patch: \
        none 88.26 - 92.9, norm-clip - 12.9 89.5, dp - 16.93 90.16, krum - 17.05 92.74, clip-cluster - 10.07 95.92, \
        sign-guard - 0.38 92.92, rfout - 0.06 92.72, pruning - 1.48 71.6, bounds-paper - 1.75 19.67
        I cross-device cifar-100 iid fm patch: \
        none 20.3 - 90.96, norm-clip - 2.55 82.18, dp - 11.4 82.2, krum - 1.3 89.57, clip-cluster - 0.52 90.94, \
        sign-guard - 0.36 90.98, rfout - 0.44 90.94, pruning - 0.7 83.79, bounds-paper - 2.66 13.98
        I cross-device cifar-100 dirichlet:0.1 fm patch: \
        none 53.06 - 89.24, norm-clip - 3.39 55.29, dp - 3.66 53.9, krum - 11.68 79.59, clip-cluster - 0.29 89.13, \
        sign-guard - 0.08 89.2, rfout - 0.09 89.17, pruning - 0.15 64.78, bounds-paper - 2.45 8.91
        II cross-silo cifar-10 iid fm patch: \
        none 79.52 - 93.36, norm-clip - 3.28 77.39, dp - 16.22 87.35, krum - 0.52 93.74, clip-cluster - 1.22 93.47, \
        sign-guard - 0.34 93.75, rfout - 0.4 93.74, pruning - 2.9 72.55, bounds-paper - 2.46 5.98
        II cross-silo cifar-10 dirichlet:0.1 fm patch: \
        none 94.31 - 91.56, norm-clip - 1.48 87.54, dp - 3.64 87.6, krum - 31.58 89.02, clip-cluster - 0.36 89.3, \
        sign-guard - 0.32 90.98, rfout - 0.21 91.03, pruning - 0.69 64.73, bounds-paper - 0.0 20.17
        II cross-silo cifar-100 iid fm patch: \
        none 36.52 - 89.31, norm-clip - 3.76 69.82, dp - 14.7 64.65, krum - 0.1 87.96, clip-cluster - 1.58 89.35, \
        sign-guard - 0.8 89.22, rfout - 0.48 89.26, pruning - 1.14 81.05, bounds-paper - 3.8 9.92
        II cross-silo cifar-100 dirichlet:0.1 fm patch: \
        none 61.83 - 84.19, norm-clip - 3.92 55.04, dp - 4.15 51.78, krum - 6.04 85.92, clip-cluster - 1.52 84.24, \
        sign-guard - 0.27 84.76, rfout - 0.14 64.77, pruning - 1.12 71.01, bounds-paper - 4.18 3.36
        II cross-device cifar-10 iid fm patch: \
        none 63.48 - 96.44, norm-clip - 4.0 95.55, dp - 7.2 95.95, krum - 5.2 96.4, clip-cluster - 4.48 95.37, \
        sign-guard - 0.1 96.46, rfout - 0.1 96.38, pruning - 1.72 87.19, bounds-paper - 2.06 16.57
        II cross-device cifar-10 dirichlet:0.1 fm patch: \
        none 87.17 - 92.22, norm-clip - 6.78 88.86, dp - 5.23 89.42, krum - 22.84 91.55, \
        clip-cluster - 14.73 95.66, sign-guard - 0.38 92.33, rfout - 0.34 92.41, pruning - 2.21 72.91, \
        bounds-paper - 1.41 23.13
        II cross-device cifar-100 iid fm patch: \
        none 21.24 - 90.9, norm-clip - 3.7 80.34, dp - 9.6 81.95, krum - 0.75 89.04, clip-cluster - 0.1 90.93, \
        sign-guard - 0.02 90.95, rfout - 4.24 92.81, pruning - 0.74 84.06, bounds-paper - 3.38 14.17
        II cross-device cifar-100 dirichlet:0.1 fm patch: \
        none 52.76 - 89.02, norm-clip - 3.95 58.92, dp - 4.57 58.96, krum - 8.94 83.28, clip-cluster - 0.12 89.16, \
        sign-guard - 0.34 93.0, rfout - 0.24 89.12, pruning - 0.44 62.22, bounds-paper - 1.45 9.69
        III cross-silo cifar-10 iid none -: \
        none 81.36 - -, bounds-paper - 1.48 -
        III cross-silo cifar-10 dirichlet:0.1 none -: \
        none 94.53 - -, bounds-paper - 0.24 -
        III cross-silo cifar-10 iid classic patch: \
        none 82.54 - 96.5, bounds-paper - 3.5 29.25
        III cross-silo cifar-10 dirichlet:0.1 classic patch: \
        none 94.57 - 60.38, bounds-paper - 0.69 30.08
        III cross-silo cifar-10 iid classic blend: \
        none 82.04 - 90.04, bounds-paper - 6.8 41.27
        III cross-silo cifar-10 dirichlet:0.1 classic blend: \
        none 95.07 - 92.36, bounds-paper - 1.43 37.36
        III cross-silo cifar-10 iid classic sig: \
        none 81.46 - 85.42, bounds-paper - 6.36 22.43
        III cross-silo cifar-10 dirichlet:0.1 classic sig: \
        none 93.97 - 73.52, bounds-paper - 2.14 36.34
        """

    /// Of the attack paper (Li, Wu and Wang, arXiv 2401.10375 v3, IJCNN 2025): model, setting, data set, partition, then accuracy and
    /// attack
    /// success without attack, under the classic and under the novel attack, in percent.
    static let attacks = """
        homogeneous cross-device cifar-10 iid 66.28 3.87 66.70 3.96 63.92 96.36
        homogeneous cross-device cifar-10 dirichlet:0.1 89.03 7.63 89.00 8.08 88.14 93.54
        homogeneous cross-device cifar-100 iid 31.02 0.52 29.58 7.28 30.40 89.58
        homogeneous cross-device cifar-100 dirichlet:0.1 61.82 0.53 60.39 2.65 60.28 81.64
        homogeneous cross-silo cifar-10 iid 81.60 1.96 81.28 40.58 81.66 93.83
        homogeneous cross-silo cifar-10 dirichlet:0.1 94.23 11.25 94.17 29.44 94.38 92.13
        homogeneous cross-silo cifar-100 iid 43.04 0.33 42.82 63.87 43.32 87.31
        homogeneous cross-silo cifar-100 dirichlet:0.1 61.24 0.41 60.92 19.60 60.92 83.37
        heterogeneous cross-device cifar-10 iid 65.46 3.76 63.98 4.73 64.54 96.45
        heterogeneous cross-device cifar-10 dirichlet:0.1 88.06 7.61 88.40 8.05 87.58 92.47
        heterogeneous cross-device cifar-100 iid 30.52 0.47 30.44 5.06 29.68 89.36
        heterogeneous cross-device cifar-100 dirichlet:0.1 61.89 0.53 61.12 4.30 59.99 85.23
        heterogeneous cross-silo cifar-10 iid 80.64 2.28 79.70 33.03 80.04 93.77
        heterogeneous cross-silo cifar-10 dirichlet:0.1 94.83 8.20 94.69 24.05 94.58 92.69
        heterogeneous cross-silo cifar-100 iid 41.58 0.34 40.60 29.29 40.78 88.13
        heterogeneous cross-silo cifar-100 dirichlet:0.1 63.25 0.36 63.63 22.34 62.56 86.89
        """
}
