import Network

extension RunConfiguration {
    /// The head of a client's network.
    public func head(of client: Int) -> Head { self.heads?.head(of: client, seed: self.seed) ?? .none }

    /// The heads that the clients of this run have, in the order of `Head.all`.
    public var presentHeads: [Head] {
        guard self.heads != nil else { return [.none] }
        let present = Set((0..<self.clients).map { head(of: $0) })
        return Head.all.filter(present.contains)
    }
}
