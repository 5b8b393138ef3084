@testable import OwnMethods
import XCTest

final class IdentityTests: XCTestCase {
    private let digest = "0123456789abcdef"

    func testAnIdentityReadsBackAsItself() throws {
        for kind in OwnKind.allCases {
            for label in ["exec:mine", "exec:mine:0.2:x", "badge.png"] {
                let method = try XCTUnwrap(OwnMethod("\(label)@\(kind.rawValue):\(digest)"))
                XCTAssertEqual([method.label, method.kind.rawValue, method.digest], [label, kind.rawValue, digest])
                XCTAssertEqual(method.text, "\(label)@\(kind.rawValue):\(digest)")
            }
        }
    }

    func testOthersAreNoIdentities() {
        for text in ["exec:mine", "exec:./mine.py", "mine@rule", "mine@rule:0123", "mine@law:\(digest)", "a/b@rule:\(digest)", "@rule:\(digest)",
                     "mine@rule:0123456789ABCDEF", "a b@rule:\(digest)", String(repeating: "x", count: 81) + "@rule:\(digest)"] {
            XCTAssertNil(OwnMethod(text), text)
        }
    }

    /// What a user types names a program or a picture; an identity, and a built-in name, does not.
    func testRequests() {
        for text in ["exec:./mine.py", "exec:mine", "exec:a/b:0.2", "badge.png", "art/badge.h5"] { XCTAssertTrue(OwnMethod.isRequest(text), text) }
        for text in ["exec:", "patch", "exec:mine@rule:\(digest)", "badge.png@trigger:\(digest)", ""] { XCTAssertFalse(OwnMethod.isRequest(text), text) }
        XCTAssertFalse(OwnMethod.isName("badge.png", of: [.rule, .modelDefense]))
        XCTAssertFalse(OwnMethod.isName("exec:mine@trigger:\(digest)", of: [.rule, .modelDefense]))
        XCTAssertTrue(OwnMethod.isName("exec:mine@rule:\(digest)", of: [.rule, .modelDefense]))
    }

    func testPeopleSeeLabels() {
        XCTAssertEqual(OwnMethod.shown("classic, exec:a:1@trigger:\(digest), badge.png@trigger:\(digest) + bounds"), "classic, exec:a:1, badge.png + bounds")
        for text in ["", "a@b", "a@rule:", "a@rule:0123", "@", "mail@rule:xyz"] { XCTAssertEqual(OwnMethod.shown(text), text) }
    }
}
