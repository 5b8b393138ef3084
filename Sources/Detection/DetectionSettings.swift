import Network

/// Every number by which detection decides, in one place: its unit, and why it is what it is. All were chosen on development images of
/// Fashion-MNIST and CIFAR-10 with seeds 101 to 103 (the notebook in data/results has the runs); none is an option of the command line.
package enum DetectionSettings {
    // MARK: Screen of the FM images

    /// A class's score, a product of three shares: from here on the class looks poisoned. Clean classes came to 0.2 at most, poisoned ones
    /// to 0.5 and more.
    static let poisonedFrom = 0.35
    /// Share of images that a group takes along when it is first tried: below it regrouping was never seen to help.
    static let regroupedFrom = 0.15
    /// Principal components in which a class is split: more let the spread of natural classes decide.
    static let components = 10
    /// Images: a smaller class, or group, has no mean to speak of.
    static let leastImages = 20, leastGroup = 8
    /// L2 norm on 784 pixels from 0 to 1, at most, of what is laid on other images. What natural classes have in common is larger, the
    /// patch,
    /// blend and SIG smaller.
    static let transplantNorm = 3.0
    /// Images of other classes that it is laid on: a share then has an error of 0.035 at most.
    static let recipients = 200
    /// Rounds of regrouping, at most: groups stand still before.
    static let regroupings = 8
    /// A mark is 0 at the median of other classes' images and 1 at that of the group. From these marks on an image belongs to the next
    /// group, is a suspect, or is doubtful. What is poisoned and left in costs more than a clean image left out.
    static let memberFrom: Float = 0.5, suspectFrom: Float = 0.25, doubtfulFrom: Float = 0.1
    /// Images that the pixel filter's covariance is taken over, at most: a pass over them is what the filter costs.
    static let filteredImages = 4000
    /// Of the filter: in units of the variance of pixels, and steps of conjugate gradients. Both keep directions out in which images
    /// hardly vary.
    static let ridge: Float = 0.16, filterSteps = 15

    // MARK: What a trigger does to pixels

    /// The part of a pixel's spread below which a trigger is said to take some of it: what differs by less is chance.
    static let spreadKept: Float = 0.9
    /// Pixels that keep less than this part are set by the trigger; with fewer of them an image cannot be recognised by them.
    static let pixelSet: Float = 0.25, leastPixelsSet = 4
    /// How far, from `without` to `with`, these pixels are on average in an image that carries the trigger.
    static let carrierFrom: Float = 0.9
    /// Where a trigger is taken off, what is left of a pixel is enlarged by 1 / this at most: the rest is noise.
    static let leastKept: Float = 0.5

    // MARK: Search for what clients planted

    /// Largest L2 norm of a spread perturbation during the search; in the fit of bounds, where classes are not compared any more; and there
    /// from a wave that stood out as it was. Largest sum over pixels of a sparse one. Pixels from 0 to 1.
    package static let spreadNorm = 1.5, spreadNormInFit = 2.0, spreadNormFromStart = 3.0, sparseNorm = 8.0
    /// Length of a step of ascent, L2, pixels from 0 to 1: about a third and a fifth of the norms.
    static let spreadStep = 0.45, sparseStep = 1.8
    /// Images that a perturbation sees in a step, and perturbations in a batch.
    static let imagesPerPerturbation = 8, perturbationsInBatch = 12
    /// Steps of each perturbation: 72 for up to 10 classes, fewer for more, so that the search costs the same, at least 12.
    static func steps(_ classes: Int) -> Int { min(72, max(12, 720 / classes)) }
    /// Contrast in logits: from here on a class looks attacked; from there on it is measured again, on more images.
    static let contrastFrom = 1.1, secondLookFrom = 0.8
    /// Images on which a contrast is measured.
    static let contrastImages = 96
    /// A margin of -3 logits is as good as none.
    static let leastMargin: Float = -3
    /// A pattern that turns so many times fewer images in the twin may have been planted; else it is a weakness of both models.
    static let turnedMoreOften = 4
    /// Robust deviations from the classes' median, without a twin: from here on a class looks attacked; for a start, of which natural
    /// classes reach less, fewer do. The least deviation is in logits.
    static let deviations = 4.0, deviationsOfStart = 2.5, leastDeviation = 0.5
    /// The part of the largest score that another class must reach to look attacked as well: where a trigger covers the image, others
    /// score, too.
    static let partOfLargest = 2.0 / 3

    // MARK: The patterns that the search starts from

    /// Images under every pattern, as many as come to so many forward passes, and under the best of a class.
    static let imagesFirst = 4...8, forwardsFirst = 4096, imagesAgain = 48, bestOfClass = 4
    /// Periods a side of a wave, at most: to finer ones natural classes give way.
    static let mostPeriods = 8

    // MARK: The twin

    /// It is taught for one epoch of such batches, but that many steps at the least, at a rate that falls to 0.
    static let twinBatch = 64, twinLeastSteps = 30, twinSGD = SGD(rate: 0.02, momentum: 0.9, decay: 5e-4, clip: 5)
    /// FM images on which it is compared with the global model, and the part of them on which the two must agree before it is taught: a
    /// model that has learnt nothing is no twin after an epoch, either.
    static let twinImages = 400, twinAgreement = 0.25

    // MARK: Vouching

    /// The part of wrong labels in a class from which clients that support them are left out: a large trigger is planted by a tenth of a
    /// class. Clean classes that were accused by mistake came to 0.06 at most, attacked ones to 0.17 and more.
    static let plantedFrom = 0.1
    /// The part of what clients could know of a class, from which on those that remain are heard without those that support its labels most:
    /// where clients have like data they came to 0.62 and more, with Dirichlet 0.1 to 0.30 in the median.
    static let knownFrom = 0.5
    /// How much more a client says a class, as a probability, of labels that others doubt than of other images: from here on it is not
    /// heard about a class that few clients know. Malicious clients came to 0.41 and more where there are ten.
    static let unheardFrom = 0.4
    /// The same of labels that are likely wrong, from which a client is left out of the rounds. Malicious clients came to 0.46 and more,
    /// one of 48 to 0.34; honest ones to 0.23 at most.
    static let supportFrom = 0.3
    /// What a client expects of each class at the least, over chance: less would let it speak loudest of classes that it does not know.
    static let leastExpected = 0.5
    /// Clients that guess fewer FM labels than so many times chance cannot vouch; the run says so.
    static let timesChance = 2.0
    /// The part of every opinion that is spread over all classes: the federation errs, however sure it is.
    static let doubt = 0.001
    /// The part of wrong labels that the estimate starts from.
    static let wrongAtFirst = 0.1
    /// The probability that a label of an accused class is wrong, up to which it is taken as it is. Surer labels than this need no share for
    /// other classes, and a model learns from them what the others show.
    static let wrongAtMost = 0.02
    /// The part of unseen doubted images that a model may miss whose count is believed: one that misses more has not learned what they share.
    static let missedAtMost = 0.5
    /// By how much the odds of a class's candidates are multiplied at most, once a model has found more wrong labels than they say.
    static let largestScale = 1e6
    /// Of so many doubted images one is kept from the model that learns the trigger: to measure it, and not to miss it.
    static let unseenOneIn = 5
    /// The least probability that a model's word on a doubted image counts with: it may be sure of the label alone, which is left aside.
    static let leastSaid = 1e-6
    /// Steps that a client trains before it vouches, at the least: 100 clients of 50 images found 0 of 357 wrong labels after 5 steps, 315
    /// after 20 (CIFAR-10).
    package static let leastSteps = 20
    /// The estimate stands still when no class's part moves by more, or after so many repetitions.
    static let still = 1e-6, mostRepetitions = 200

    // MARK: What people read

    /// Scores are listed for as many classes, and no more.
    static let classesListed = 20
}
