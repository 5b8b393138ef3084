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

    /// - Parameters:
    ///   - images: all FM images, shuffled.
    ///   - passes: over images; the twin's are added.
    /// - Returns: nil where the model before the clients agrees too little with the global one.
    init?(_ initial: Parameters, of subject: Examined, _ images: [Int], passes: inout Double) {
        let looked = Array(images.prefix(DetectionSettings.twinImages)), activations = subject.activations, samples = subject.samples
        func predictions(_ model: Parameters) -> [Int] {
            Loss.predictions(subject.logits(looked.count, of: model) { samples.load(looked[$0], into: $1) }, classes: activations.classes)
        }
        passes += Double(looked.count) / 3
        let agreed = zip(looked, predictions(initial)).count { activations.predictions[$0] == $1 }
        guard Double(agreed) >= DetectionSettings.twinAgreement * Double(looked.count) else { return nil }
        trainer = subject.trainer(initial)
        passes += Self.teach(trainer, samples, activations, images) + Double(looked.count) / 3
        trainer.prepareForBounds()
        (self.images, self.predictions) = (looked, Dictionary(uniqueKeysWithValues: zip(looked, predictions(trainer.parameters))))
    }

    /// Returns the passes.
    private static func teach(_ trainer: Trainer, _ samples: Samples, _ activations: Activations, _ images: [Int]) -> Double {
        let batch = DetectionSettings.twinBatch, steps = max(DetectionSettings.twinLeastSteps, images.count / batch)
        for step in 0..<steps {
            var sgd = DetectionSettings.twinSGD
            sgd.rate *= 1 - Float(step) / Float(steps)
            func image(_ i: Int) -> Int { images[(step * batch + i) % images.count] }
            _ = trainer.step(
                batch, sgd, load: { i, x in samples.load(image(i), into: x) },
                loss: { i, y, dy in
                    Loss.divergence(y, from: activations.logits, row: image(i), classes: activations.classes, images: batch, gradient: dy)
                })
        }
        return Double(steps * batch)
    }
}
