/// What detection found, for the fit of bounds and for unlearning. Positions are those of FM images.
package struct Evidence {
    package var suspects: [(image: Int, target: Int)] = []
    /// Images of suspect classes that may be poisoned, and, where anything was found, those that were distrusted before the first round.
    package var doubtful: [Int] = []
    /// Suspects that leave their class without the trigger.
    package var witnesses: [(image: Int, target: Int)] = []
    /// Of the search, those whose class looks attacked and has no suspects.
    package var candidates: [Int] = []
    /// What was found of the triggers, to be added to the network's input, and the class that each leads to. A class has either
    /// suspects or candidates.
    package var triggers: [(target: Int, overlay: Overlay)] = []
    package var isEmpty: Bool { suspects.isEmpty && candidates.isEmpty }
}
