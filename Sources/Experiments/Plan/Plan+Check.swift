import Attacks
import DefenseInterface
import Defenses
import Federation
import Options
import OwnMethods

/// What options alone show to be wrong, before there are data and before anything is trained.
extension Plan {
    /// Checks the options of the grid against the tables.
    ///
    /// - Throws: `SettingError` for an option that a table varies itself, and for one on which nothing depends.
    public func checkGrid() throws {
        for option in setting.grid.options where !setting.isSweep {
            let names = try tables.filter { try varies($0, option.name) }.map(\.name)
            guard names.isEmpty else {
                throw SettingError(
                    option.name, given: option.text,
                    expected: "an option that no table here varies itself, as \(names.joined(separator: " ")) does; "
                        + "row and column choose among the places of a table")
            }
        }
        let chosen = [Grid.attack, Grid.defense]
        for option in setting.isSweep ? setting.grid.varied : setting.grid.fixed where !chosen.contains(option.name) {
            guard try !isUsed(option) else { continue }
            throw SettingError(
                option.name, given: option.text, expected: "an option that something here depends on; without it every figure is the same")
        }
    }

    /// Whether cells of a table differ in an option by themselves. Attacks and defences are what the tables are about.
    private func varies(_ table: any Table, _ name: String) throws -> Bool {
        if [Grid.attack, Grid.defense].contains(name) { return true }
        guard var scale = Scale.named(setting.scale) else { return false }
        scale.own = OwnRows(setting.own)
        guard let plain = Tables.make(table.name, scale) else { return false }
        let option = try RunConfiguration.settings.named(name)
        let values = plain.rows.flatMap { row in
            plain.columns.compactMap { plain.cell(row, $0, scale.base).map { option.text(in: $0.configuration.values) } }
        }
        return Set(values).count > 1
    }

    private func isUsed(_ option: Grid.Option) throws -> Bool {
        let declared = try RunConfiguration.settings.named(option.name)
        if declared.effect == .nothing { return !option.isVaried }  // as how often is measured: time, not figures
        return trainings.contains { training in
            training.configuration.depends(on: declared)
                || training.defenses.contains { !option.isOfAnotherDefense(than: $0) && option.defenseOnModel != nil }
        }
    }

    /// Checks that each own method has a place in the tables.
    ///
    /// - Throws: `SettingError` for the first that has none, as a trigger where no table varies triggers; it names the tables that have one.
    public func checkOwn() throws {
        guard let method = setting.own.first(where: { !uses($0) }) else { return }
        var other = setting
        let having = try Tables.names.filter { name in
            other.tables = [name]
            return try Plan(other).uses(method)
        }
        throw SettingError(
            method.kind.option, given: method.label,
            expected: "a table that has a place for it: \(having.joined(separator: " ")); \(tables.map(\.name).joined(separator: " ")) "
                + "\(tables.count > 1 ? "have" : "has") none")
    }

    private func uses(_ method: OwnMethod) -> Bool {
        trainings.contains { $0.configuration.ownMethods.contains(method) || $0.defenses.contains(method.text) }
    }

    /// Checks every training's options.
    ///
    /// - Throws: `PlanError` with the first that cannot be.
    public func checkOptions() throws {
        for training in trainings {
            var c = training.configuration
            c.defenses += training.defenses
            do {
                // A rule that has too few clients leaves its places in a table empty; a sweep is the user's own choice of all its cells.
                if setting.isSweep { try FederatedRun.check(c) } else { try c.validate() }
            } catch let error as SettingError {
                throw PlanError(training: title(of: training), reason: error)
            } catch let error as DefenseError {
                throw PlanError(training: title(of: training), reason: error)
            }
        }
    }

    /// Checks every training's options against the data. Throws `PlanError`.
    public func checkOptions(classes: Int) throws {
        let limit = RunConfiguration.declarations.syntheticLimit.name
        for value in setting.grid.option(limit).map({ $0.isVaried ? $0.values : [] }) ?? [] where Int(value) ?? 0 > setting.syntheticImages
        {
            throw PlanError(
                training: SweepTable.name,
                reason: SettingError(limit, given: value, expected: "at most \(setting.syntheticImages), the number of FM images"))
        }
        for training in trainings {
            do { try training.configuration.target.check(classes: classes) } catch {
                throw PlanError(training: title(of: training), reason: error)
            }
        }
    }
}

/// A training that cannot be.
public struct PlanError: Error, CustomStringConvertible {
    public var training: String
    public var reason: any Error

    public var description: String { "\(training): \(reason)" }
}
