/// Why a defence cannot do its work.
public enum DefenseError: Error, CustomStringConvertible {
    case tooFewClients(rule: String, needs: String, clients: Int, malicious: Int)
    case update(String)
    case needsServer(rule: String)
    case needsClients(defense: String)
    case syntheticData(String)
    case model(String)

    public var description: String {
        switch self {
        case let .tooFewClients(rule, needs, clients, malicious):
            "\(rule) needs \(needs): got n = \(clients) clients this round with f = \(malicious) assumed malicious; more clients, fewer malicious ones (--malicious) or another rule will do"
        case let .needsServer(rule): "\(rule) needs the server's FM data, and there are none here"
        case let .needsClients(defense): "\(defense) needs the answers of the clients, and there are none here"
        case let .update(text), let .syntheticData(text), let .model(text): text
        }
    }
}
