import Attacks
import Defenses
import FoundationEssentials
import Options
import OwnMethods

/// A configuration as JSON and as lines for people.
extension RunConfiguration {
    /// One line, keys sorted, every option: the same configuration gives the same text.
    public func json() throws -> String { try Self.settings.json(values) }

    /// Reads what `json` wrote, or an older version: options that it did not have yet take their defaults.
    ///
    /// - Throws: `RunError.incompatible` for unknown keys and for values that the option does not take.
    public static func from(json: String, path: String) throws -> RunConfiguration {
        var configuration = RunConfiguration()
        do {
            configuration.values = try settings.settings(json: json)
            try configuration.validate()
            try configuration.requireIdentities()
            return configuration
        } catch let error as SettingError {
            throw RunError.incompatible("\(path), /config/json: \(error.inFile)")
        } catch {
            throw RunError.incompatible("\(path): /config/json is not a configuration of this program (\(error))")
        }
    }

    /// Names and values of all options, by section.
    public var readable: [(name: String, value: String)] { Self.settings.all.map { ($0.name, $0.text(in: values)) } }
}

/// What options change, in this configuration.
extension RunConfiguration {
    /// Whether the training depends on the option.
    public func depends(on setting: any AnySetting) -> Bool {
        switch setting.effect {
        case .nothing, .rounding: false
        case .partly, .length: true
        case let .training(condition): holds(condition)
        }
    }

    /// Options that are not at their defaults and change nothing here, neither the training nor what is measured or defended on its model.
    public var withoutEffect: [String] {
        Self.settings.all.filter { setting in
            guard case let .training(condition) = setting.effect, !setting.isStandard(in: values) else { return false }
            switch condition {
            case .always, .attackOrFloor, .triggered: return false
            case let .defended(name): return !asks(for: name)
            case .attacked, .clientsAttack, .syntheticAttack: return !holds(condition)
            }
        }.map(\.name)
    }

    private func holds(_ condition: Condition) -> Bool {
        switch condition {
        case .always: true
        case .attackOrFloor, .attacked: self.attack != .none
        case .clientsAttack: self.attack.poisonsClients
        case .syntheticAttack: self.attack.poisonsSynthetic
        case let .defended(name): self.defenses.contains(name) && AllDefenses.shapesTraining(name)
        case let .triggered(name): self.attack != .none && (self.trigger == name || isPicture && name == PictureTrigger.name)
        }
    }

    /// Whether the trigger is a user's picture.
    private var isPicture: Bool { OwnMethod(self.trigger).map { !$0.isProgram } ?? false }

    /// With defaults for all that cannot change the training, so that equal trainings are equal; defences on the model are left
    /// out, their options stay. Where the FM data lie and how sums round stay.
    public var reduced: RunConfiguration {
        var reduced = self
        reduced.defenses = AllDefenses.shapingTraining(self.defenses)
        for setting in Self.settings.all {
            if case let .training(condition) = setting.effect, !depends(on: setting), !isOfModelDefense(condition) {
                setting.reset(in: &reduced.values)
            }
        }
        return reduced
    }

    private func isOfModelDefense(_ condition: Condition) -> Bool {
        if case let .defended(name) = condition { !AllDefenses.shapesTraining(name) } else { false }
    }

    /// JSON of what the training depends on, without options that are not set: names the training, whatever options other
    /// trainings have.
    public func trainingJSON() throws -> String {
        var named = self
        for setting in Self.settings.all { setting.keepTrainingPart(in: &named.values) }
        let unset: [SettingScalar] = [.null, .text(""), .list([])]
        return try Self.settings.json(named.values) { depends(on: $0) && !unset.contains($0.scalar(in: named.values)) }
    }

    /// Why a run of this configuration cannot go on with what `stored` has begun: the first option that differs and may
    /// not, as "name was X, is Y"; nil where it can. Options of a defence that `stored` does not have may. Digests of the data are compared
    /// elsewhere.
    public func difference(from stored: RunConfiguration) -> String? {
        let setting = Self.settings.all.first { setting in
            setting.scalar(in: values) != setting.scalar(in: stored.values) && !mayChange(setting, from: stored)
        }
        return setting.map { "\($0.name) was \($0.text(in: stored.values)), is \($0.text(in: values))" }
    }

    private func mayChange(_ setting: any AnySetting, from stored: RunConfiguration) -> Bool {
        switch setting.effect {
        case .nothing: true
        case .rounding: false
        case .partly: setting.isLikewise(in: values, and: stored.values)
        case .length: (setting.number(in: values) ?? 0) > (setting.number(in: stored.values) ?? 0)
        case .training(.defended(let name)): !stored.asks(for: name)
        case .training: false
        }
    }

    /// Whether a defence is asked for, or a variant of it, "NAME:VARIANT".
    private func asks(for defense: String) -> Bool { self.defenses.contains { $0.prefix { $0 != ":" } == defense } }
}

extension AnySetting {
    /// Whether both values have the same part in the training, and a list has lost nothing.
    fileprivate func isLikewise(in mine: Settings, and theirs: Settings) -> Bool {
        var (a, b) = (mine, theirs)
        keepTrainingPart(in: &a)
        keepTrainingPart(in: &b)
        guard scalar(in: a) == scalar(in: b) else { return false }
        guard case let (.list(new), .list(old)) = (scalar(in: mine), scalar(in: theirs)) else { return true }
        return Set(old.filter { OwnMethod($0)?.kind != .modelDefense }).isSubset(of: new)  // a user's own may be changed: it is done again
    }
}
