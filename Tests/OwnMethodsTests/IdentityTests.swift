import HDF5
import Scratch
import Testing
@testable import OwnMethods

@Suite struct IdentityTests {
    private let digest = "0123456789abcdef"

    @Test func anIdentityReadsBackAsItself() throws {
        for kind in OwnKind.allCases {
            for label in ["exec:mine", "exec:mine:0.2:x", "badge.png"] {
                let method = try #require(OwnMethod("\(label)@\(kind.rawValue):\(digest)"))
                #expect([method.label, method.kind.rawValue, method.digest] == [label, kind.rawValue, digest])
                #expect(method.text == "\(label)@\(kind.rawValue):\(digest)")
            }
        }
    }

    @Test func othersAreNoIdentities() {
        for text in [
            "exec:mine", "exec:./mine.py", "mine@rule", "mine@rule:0123", "mine@law:\(digest)", "a/b@rule:\(digest)", "@rule:\(digest)",
            "mine@rule:0123456789ABCDEF", "a b@rule:\(digest)", String(repeating: "x", count: 81) + "@rule:\(digest)",
        ] {
            #expect(OwnMethod(text) == nil, "\(text)")
        }
    }

    /// What a user types names a program or a picture; an identity, and a built-in name, does not.
    @Test func requests() {
        for text in ["exec:./mine.py", "exec:mine", "exec:a/b:0.2", "badge.png", "art/badge.h5"] {
            #expect(OwnMethod.isRequest(text), "\(text)")
        }
        for text in ["exec:", "patch", "exec:mine@rule:\(digest)", "badge.png@trigger:\(digest)", ""] {
            #expect(!OwnMethod.isRequest(text), "\(text)")
        }
        #expect(!OwnMethod.isName("badge.png", of: [.rule, .modelDefense]))
        #expect(!OwnMethod.isName("exec:mine@trigger:\(digest)", of: [.rule, .modelDefense]))
        #expect(OwnMethod.isName("exec:mine@rule:\(digest)", of: [.rule, .modelDefense]))
    }

    @Test func peopleSeeLabels() {
        #expect(
            OwnMethod.shown("classic, exec:a:1@trigger:\(digest), badge.png@trigger:\(digest) + bounds")
                == "classic, exec:a:1, badge.png + bounds")
        for text in ["", "a@b", "a@rule:", "a@rule:0123", "@", "mail@rule:xyz"] { #expect(OwnMethod.shown(text) == text) }
    }

    /// A method that no command line named is not found, whatever its digest.
    @Test func nothingIsGrantedByItsNameAlone() throws {
        let method = try #require(OwnMethod("exec:nobody@rule:\(digest)"))
        #expect(throws: OwnMethodError.self) { _ = try OwnMethods.program(method) }
        #expect(try OwnMethods.grant(method.text, as: [.rule]) == [method], "an identity stays what it is, and grants nothing")
        #expect(throws: OwnMethodError.self) { _ = try OwnMethods.program(method) }
    }

    /// Arrays of each kind come back as they were, state included.
    @Test func arraysThroughAFile() throws {
        let scratch = Scratch(), path = scratch.file("a.h5")
        let state: OwnState = [
            "a": OwnArray(.float([1, .infinity]), [2]), "b": OwnArray(.whole([-1, 5, 7, 8]), [2, 2]), "c": OwnArray(.double([0.1]), []),
            "d": OwnArray(.bytes([0, 255]), [2]),
        ]
        try HDF5File.writeUnsynced(path) { try $0.write(state, group: "/state") }
        let file = try HDF5File.open(path)
        #expect(try file.readState("/state", limit: 1000) == state)
        #expect(throws: HDF5Error.self) { _ = try file.readState("/state", limit: 40) }
    }
}
