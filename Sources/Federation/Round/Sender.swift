/// Who sends an update in a round, and how many images it trained on.
public struct Sender: Equatable, Sendable {
    public var client: Int, images: Int

    public init(client: Int, images: Int) { (self.client, self.images) = (client, images) }
}
