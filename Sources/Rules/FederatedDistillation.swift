import Numerics
import Options
import Tensor

/// The federation's answers on FM images take the place of its weights: the server never averages weights. In every round it trains the
/// last global model on the FM images with what the clients' models say of them as the target, and hands that model out.
///
/// A backdoor shows on images with the trigger alone. FM images do not carry it (where they are poisoned, `vouching` takes these out), so
/// what
/// malicious clients say of them is what honest ones say. Averaged weights would carry the backdoor whatever the images show.
///
/// Model k's logits count as bounded logarithms of its probabilities, so that no client outweighs others by large logits:
///
///     a_k  =  log((1 - d) softmax(z_k) + d / C),      d = 0.001, C classes
///
/// The target is the mean of a_k over the models that the rule before aggregation let through, weighted as fusion weights them.
/// Temperature and label weight are
/// those of fusion. The learning rate begins at that of the clients and falls linearly over the round's epochs.
///
/// Source: Li and Wang, FedMD, arXiv 1910.03581 (answers on shared images in the place of weights); Lin et al., FedDF, arXiv 2006.07242
/// (the
/// server's model learns from their mean). That the server starts from its own last model, and the bound, are ours.
public enum FederatedDistillation {
    public static let name = "distillation"
    public static let epochs = Setting(
        "distillation-epochs", default: 4, in: .count(from: 1), value: "n",
        help: "Epochs in a round in which the server learns from the clients' answers.")
    public static let settings: [any AnySetting] = [epochs]
    /// d: what a client's answer leaves to every class, together. A sure client counts for log(d / C) at most.
    static let doubt = 0.001

    /// The part of the clients' learning rate in an epoch from 0.
    public static func share(ofRateIn epoch: Int, of epochs: Int) -> Double { 1 - Double(epoch) / Double(epochs) }

    /// a, (classes).
    public static func answer(_ logits: ArraySlice<Float>) -> [Double] {
        softmax(logits).map { Mathematics.log((1 - doubt) * $0 + doubt / Double(logits.count)) }
    }
}
