/// One HTML page that needs no other file: no script runs, pictures are inline, and wide tables scroll by themselves, so that the page fits
/// a phone.
enum Page {
    /// - Parameter body: HTML; `title` is plain text.
    static func html(title: String, body: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(Markup.escaped(title))</title>
        <style>\(style)</style>
        </head>
        <body>
        \(body)
        </body>
        </html>

        """
    }

    private static let style = """

        :root { color-scheme: light; }
        body { margin: 0 auto; max-width: 64rem; padding: 0 1rem 3rem; background: #fff; color: #111; font: 16px/1.45 system-ui, Helvetica, Arial, sans-serif; }
        h1 { font-size: 1.6rem; margin: 1.2rem 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; border-bottom: 2px solid #111; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
        nav a { display: inline-block; margin: 0 .8rem .4rem 0; padding: .3rem 0; }
        .claim { border-left: 4px solid #111; padding-left: .8rem; } .legend, figcaption { font-size: .85rem; color: #333; } .note { font-weight: bold; }
        .legend svg { vertical-align: middle; }
        .wide { overflow-x: auto; margin: .6rem 0; } .wide svg { display: block; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
        th, td { padding: .25rem .5rem; text-align: right; } th { font-weight: 600; } tbody th, thead tr:first-child th:first-child { text-align: left; }
        tbody th { position: sticky; left: 0; background: inherit; } tbody tr { background: #fff; } tbody tr:nth-child(odd) { background: #f2f2f2; }
        thead { border-bottom: 1px solid #111; } th.group { text-align: right; } thead tr:first-child th.group { text-align: center; } .group { border-left: 1px solid #999; }
        .words td, .words thead th { white-space: normal; overflow-wrap: anywhere; text-align: left; min-width: 5.5rem; max-width: 14rem; }
        .words thead tr:first-child th.group { text-align: left; }
        .panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem; } .panels svg { width: 100%; height: auto; max-width: 20rem; }
        .panels.large { grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
        .panels.pair { grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); } .panels.pair svg { max-width: none; }
        .runs { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; } .runs svg { vertical-align: middle; }
        figure { margin: .6rem 0; } figure img { max-width: 100%; height: auto; image-rendering: pixelated; border: 1px solid #999; }
        @media (max-width: 30rem) { body { padding: 0 .6rem 2rem; font-size: 15px; } th, td { padding: .25rem .35rem; font-size: .85rem; }
            tbody th { white-space: normal; max-width: 9rem; } .words td, .words thead th { max-width: 7rem; } }
        @media print { .wide { overflow: visible; } section { break-inside: avoid; } }

        """
}
