import Options
import Testing

/// Values, ranges and errors of declared settings, in a small list of every kind.
@Suite struct OptionsTests {
    private enum Colour: String, CaseIterable, SettingValue { case red, green }

    private static let count = Setting(
        "most-things", .training, default: 3, in: .count(from: 1), value: "n", help: "Things.",
        formerly: ["limit"])
    private static let rate = Setting("lr", .training, default: 0.5, in: .positive, help: "Rate.")
    private static let share = Setting<Double?>("share", .attack, default: nil, in: .properFraction, unset: "all", help: "Share.")
    private static let colour = Setting("colour", .attack, default: Colour.red, help: "Colour.")
    private static let names = Setting<[String]>("name", .defense, default: [], in: .oneOf(["anna", "bert"]), help: "Names.")
    private static let flag = Setting("loud", .attack, default: false, help: "Loud.")
    private static let seed = Setting<UInt64>("seed", .evaluation, default: 1, help: "Seed.")
    private static let list = SettingList([count, rate, share, colour, names, flag, seed])

    @Test func valuesAreTheDefaultUntilTheyAreSet() throws {
        var settings = Settings()
        #expect(settings[Self.count] == 3 && settings[Self.share] == nil && settings[Self.colour] == .red)
        settings[Self.count] = 7
        settings[Self.share] = 0.25
        #expect(settings[Self.count] == 7 && settings[Self.share] == 0.25 && settings != Settings())
        settings[Self.count] = 3
        settings[Self.share] = nil
        #expect(settings == Settings(), "a default that is set is the default")
    }

    @Test(arguments: [
        ("most-things", "12", "12"), ("lr", "1e-3", "0.001"), ("lr", "2.0", "2"), ("share", "0.5", "0.5"), ("share", "all", "all"),
        ("share", "none", "all"), ("colour", "green", "green"), ("name", "anna, bert", "anna bert"), ("name", "", "none"),
        ("loud", "true", "true"), ("seed", "18446744073709551615", "18446744073709551615"),
    ])
    func textsAreRead(name: String, given: String, shown: String) throws {
        var settings = Settings()
        let setting = try Self.list.named(name)
        try setting.set([given], in: &settings)
        #expect(setting.text(in: settings) == shown)
        #expect(try Self.list.settings(json: Self.list.json(settings)) == settings)
        guard setting.form != .list || shown != "none" else { return }  // none may be a name
        var again = Settings()
        try setting.set([setting.text(in: settings)], in: &again)
        #expect(again == settings, "what is shown can be given")
    }

    @Test(arguments: [
        ("most-things", "0", "--most-things 0: expected a whole number from 1 to 1000000000"),
        ("most-things", "1.5", "--most-things 1.5: expected a whole number from 1 to 1000000000"),
        ("most-things", "2000000000", "--most-things 2000000000: expected a whole number from 1 to 1000000000"),
        ("most-things", "", "--most-things \"\": expected a whole number from 1 to 1000000000"),
        ("lr", "-0.10", "--lr -0.10: expected a number above 0"), ("lr", "inf", "--lr inf: expected a number above 0"),
        ("lr", "nan", "--lr nan: expected a number above 0"), ("share", "1", "--share 1: expected a fraction above 0, below 1"),
        ("colour", "gren", "--colour gren: expected one of: red, green; did you mean \"green\"?"),
        ("name", "anna berta", "--name berta: expected one of: anna, bert; did you mean \"bert\"?"),
        ("loud", "yes", "--loud yes: expected true or false"),
        ("seed", "-1", "--seed -1: expected a whole number from 0 to 18446744073709551615"),
    ])
    func otherTextsAreRefused(name: String, given: String, error: String) throws {
        var settings = Settings()
        let setting = try Self.list.named(name)
        #expect(text { try setting.set([given], in: &settings) } == error)
        #expect(settings == Settings(), "nothing was set")
    }

    @Test func namesAreKnownOrSuggested() {
        #expect(
            text { _ = try Self.list.named("most-thing") }
                == "there is no option --most-thing: expected the name of an option; did you mean \"most-things\"?")
        #expect(text { _ = try Self.list.named("limit") } != nil, "a former name is for files only")
    }

    @Test func filesOfBeforeAreRead() throws {
        let old = try Self.list.settings(json: #"{"limit":5,"lr":1,"loud":true,"name":["bert"],"seed":18446744073709551615}"#)
        #expect(old[Self.count] == 5 && old[Self.rate] == 1 && old[Self.flag] && old[Self.names] == ["bert"] && old[Self.seed] == .max)
        #expect(try Self.list.settings(json: #"{"mostThings":6}"#)[Self.count] == 6)
    }

    @Test(arguments: [
        (#"{"most-thing":5}"#, "unknown key \"most-thing\": expected the name of an option; did you mean \"most-things\"?"),
        (#"{"limit":5,"most-things":5}"#, "most-things: expected one of its names, got most-things too, a former name"),
        (#"{"most-things":"5"}"#, "most-things: expected a whole number from 1 to 1000000000, got \"5\""),
        (#"{"most-things":0}"#, "most-things: expected a whole number from 1 to 1000000000, got 0"),
        (#"{"most-things":1.5}"#, "most-things: expected a whole number from 1 to 1000000000, got 1.5"),
        (#"{"most-things":null}"#, "most-things: expected a whole number from 1 to 1000000000, got null"),
        (#"{"loud":1}"#, "loud: expected true or false, got 1"),
        (#"{"colour":"blue"}"#, "colour: expected one of: red, green, got \"blue\""),
        (#"{"name":["carl"]}"#, "name: expected one of: anna, bert, got carl"),
    ])
    func otherJSONIsRefused(json: String, error: String) {
        #expect(inFile { _ = try Self.list.settings(json: json) } == error)
    }

    @Test func jsonIsSortedAndWhole() throws {
        #expect(
            try Self.list.json(Settings()) == #"{"colour":"red","loud":false,"lr":0.5,"most-things":3,"name":[],"seed":1,"share":null}"#)
        var settings = Settings()
        settings[Self.rate] = .nan
        #expect(throws: (any Error).self) { try Self.list.json(settings) }
    }

    @Test func helpNamesRangeAndDefault() {
        #expect(
            Self.list.all.map(\.help) == [
                "Things. (from 1; default: 3)", "Rate. (above 0; default: 0.5)", "Share. (above 0, below 1; default: all)",
                "Colour. (red, green; default: red)", "Names. (default: none)", "Loud.", "Seed. (default: 1)",
            ])
        #expect(Self.count.belonging(to: .defense, .defended(by: "krum")).help == "Of krum: things. (from 1; default: 3)")
    }

    private func text(_ body: () throws -> Void) -> String? {
        do { try body(); return nil } catch { return "\(error)" }
    }

    private func inFile(_ body: () throws -> Void) -> String? {
        do { try body(); return nil } catch { return (error as? SettingError)?.inFile ?? "\(error)" }
    }
}
