import ArgumentParser
import Federation
import Options

/// The options of a training: all that `RunConfiguration.settings` declares, by section.
struct RunOptions: ParsableArguments {
    enum Attack: SectionOfOptions { static let section = Section.attack }
    enum Malicious: SectionOfOptions { static let section = Section.malicious }
    enum Defense: SectionOfOptions { static let section = Section.defense }
    enum Training: SectionOfOptions { static let section = Section.training }
    enum Server: SectionOfOptions { static let section = Section.server }
    enum Evaluation: SectionOfOptions { static let section = Section.evaluation }

    @OptionGroup(title: Attack.section.rawValue) var attack: SettingOptions<Attack>
    @OptionGroup(title: Malicious.section.rawValue) var malicious: SettingOptions<Malicious>
    @OptionGroup(title: Defense.section.rawValue) var defense: SettingOptions<Defense>
    @OptionGroup(title: Training.section.rawValue) var training: SettingOptions<Training>
    @OptionGroup(title: Server.section.rawValue) var server: SettingOptions<Server>
    @OptionGroup(title: Evaluation.section.rawValue) var evaluation: SettingOptions<Evaluation>

    /// `base` with what is given; the data are named by the caller. Throws `SettingError`.
    func configuration(on base: RunConfiguration = RunConfiguration()) throws -> RunConfiguration {
        var configuration = base
        try attack.apply(to: &configuration)
        try malicious.apply(to: &configuration)
        try defense.apply(to: &configuration)
        try training.apply(to: &configuration)
        try server.apply(to: &configuration)
        try evaluation.apply(to: &configuration)
        return configuration
    }
}
