/// Mean shift with a flat kernel (Comaniciu and Meer 2002), as scikit-learn's `MeanShift` does it without bins: from
/// every point, the mean of all points within the bandwidth is taken again and again, until it moves by less than a
/// thousandth of the bandwidth or has moved 300 times. Of centres within a bandwidth of each other the one with most
/// points stays; a point belongs to its nearest centre.
package struct MeanShift {
    private static let steps = 300, stillness = 1e-3
    /// Radius of the kernel, from 0; a point at this distance is inside. With 0 only equal points are together.
    package var bandwidth: Double

    package init(bandwidth: Double) { self.bandwidth = bandwidth }

    /// scikit-learn's `estimate_bandwidth` over all points: the mean, over the points, of the distance to the
    /// floor(quantile n)-th nearest, the point itself counted, and at least the first.
    package static func bandwidth(_ points: [[Double]], quantile: Double) -> Double {
        guard !points.isEmpty else { return 0 }
        let rank = max(1, Int(quantile * Double(points.count))) - 1
        return points.reduce(0) { sum, p in sum + points.map { distance(p, $0) }.sorted()[rank] } / Double(points.count)
    }

    /// A label for each point: 0 for the centre with most points, and so on; -1 beyond the bandwidth of every centre.
    package func labels(_ points: [[Double]]) -> [Int] {
        let centres = apart(points.map { climb(from: $0, points) })
        return points.map { point in
            let distances = centres.map { distance(point, $0) }
            let nearest = distances.indices.min { (distances[$0], $0) < (distances[$1], $1) }
            guard let nearest, distances[nearest] <= bandwidth else { return -1 }
            return nearest
        }
    }

    private struct Centre {
        let place: [Double]
        /// Points within the bandwidth of the place before the last step.
        let points: Int
    }

    private func climb(from start: [Double], _ points: [[Double]]) -> Centre {
        var place = start
        for step in 0... {
            let inside = points.filter { distance($0, place) <= bandwidth }
            guard !inside.isEmpty else { return Centre(place: place, points: 0) }
            let next = bandwidth > 0 ? mean(inside) : place  // rounding must not move the mean of equal points
            let moved = distance(next, place)
            place = next
            guard moved > Self.stillness * bandwidth, step < Self.steps else {
                return Centre(place: place, points: inside.count)
            }
        }
        return Centre(place: place, points: 0)
    }

    /// The centres that stay, those with most points first; equals from the largest coordinates down.
    private func apart(_ centres: [Centre]) -> [[Double]] {
        let sorted = centres.sorted { a, b in
            a.points != b.points ? a.points > b.points : b.place.lexicographicallyPrecedes(a.place)
        }
        return sorted.reduce(into: []) { kept, centre in
            if !kept.contains(where: { distance($0, centre.place) <= bandwidth }) { kept.append(centre.place) }
        }
    }
}

private func mean(_ points: [[Double]]) -> [Double] {
    points[0].indices.map { k in points.reduce(0) { $0 + $1[k] } / Double(points.count) }
}

private func distance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
}
