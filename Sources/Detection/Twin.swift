import Attacks
import DefenseInterface
import Network
import Tensor

/// A model that has learnt from the global one what FM images teach, and nothing else: the model before any client had a part in
/// it, trained on the FM images to predict what the global model predicts. What natural classes give way to it takes over; a
/// trigger that no FM image shows it does not. `TriggerSearch` looks for what the two do not share.
///
/// Source: knowledge distillation on clean images as a way to lose a backdoor, Yoshida and Fujino, "Disabling backdoor and
/// identifying poison data by using knowledge distillation" (AISec 2020); the comparison is ours.
struct Twin {
    let trainer: Trainer
    /// FM images, shuffled, and what it takes them for.
    let images: [Int], predictions: [Int: Int]

    /// One epoch, but that many steps at the least.
    static let batch = 64, leastSteps = 30
    /// The rate falls to 0.
    static let sgd = SGD(rate: 0.02, momentum: 0.9, decay: 5e-4, clip: 5)
    static let imagesLookedAt = 400
    /// Before it is taught it must agree with the global model on that part of the images; one that has learnt nothing is no twin
    /// after an epoch, either.
    static let leastAgreement = 0.25

    /// - Parameter images: all FM images, shuffled.
    init?(_ initial: Parameters, of detector: Detector, _ images: [Int]) {
        let looked = Array(images.prefix(Self.imagesLookedAt)), activations = detector.activations, samples = detector.samples
        func predictions(_ model: Parameters) -> [Int] {
            detector.passes += Double(looked.count) / 3
            let logits = detector.predictor.logits(looked.count, model, Bounds(model.network)) { samples.load(looked[$0], into: $1) }
            return Loss.predictions(logits, classes: activations.classes)
        }
        let agreed = zip(looked, predictions(initial)).count { activations.predictions[$0] == $1 }
        guard Double(agreed) >= Self.leastAgreement * Double(looked.count) else { return nil }
        trainer = Trainer(initial.network, kernels: detector.trainer.kernels, lanes: Trainer.serverLanes, threads: detector.threads)
        trainer.reset(initial)
        detector.passes += Self.teach(trainer, samples, activations, images)
        trainer.prepareForBounds()
        (self.images, self.predictions) = (looked, Dictionary(uniqueKeysWithValues: zip(looked, predictions(trainer.parameters))))
    }

    /// Returns the passes.
    private static func teach(_ trainer: Trainer, _ samples: Samples, _ activations: Activations, _ images: [Int]) -> Double {
        let steps = max(leastSteps, images.count / batch)
        for step in 0..<steps {
            var sgd = sgd
            sgd.rate *= 1 - Float(step) / Float(steps)
            func image(_ i: Int) -> Int { images[(step * batch + i) % images.count] }
            _ = trainer.step(batch, sgd, load: { i, x in samples.load(image(i), into: x) }, loss: { i, y, dy in
                Loss.divergence(y, from: activations.logits, row: image(i), classes: activations.classes, images: batch, gradient: dy)
            })
        }
        return Double(steps * batch)
    }
}
