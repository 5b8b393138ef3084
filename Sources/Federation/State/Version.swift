/// The program's version, which every file that it writes bears. `tools/lint.py` holds the packages in tools and CHANGELOG.md to it.
public let programVersion = "0.1.0"
