// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationXML
import OrderedJSON
import Rendering
import Testing

/// What a renderer made is compared with Fixtures/rendering; FPD_UPDATE_GOLDEN=1 writes it anew.
func golden(_ name: String, _ text: String, _ location: SourceLocation = #_sourceLocation) throws {
  let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/rendering/\(name)")
  if ProcessInfo.processInfo.environment["FPD_UPDATE_GOLDEN"] != nil {
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
  let expected = try String(contentsOf: file, encoding: .utf8)
  #expect(text == expected, "\(name) differs", sourceLocation: location)
}

func fixture(_ name: String) throws -> JSON {
  let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/rendering/\(name).json")
  return try JSON(parsing: Data(contentsOf: file))
}

private let graphs = ["gateway", "empty", "hostile", "fifty"]

@Suite struct GraphRenderingTests {
  @Test(arguments: graphs) func drawsATree(_ name: String) throws {
    try golden("\(name).tree", tree(fixture(name)))
  }

  @Test(arguments: graphs) func writesDot(_ name: String) throws {
    try golden("\(name).dot", dot(fixture(name)))
  }

  @Test(arguments: graphs) func drawsAPicture(_ name: String) throws {
    try golden("\(name).svg", svg(fixture(name)))
  }

  @Test func coloursAreForTerminalsOnly() throws {
    let graph = try fixture("gateway")
    let style = Style(hasColour: true, width: 60)
    try golden("gateway.colour.tree", tree(graph, style: style))
    #expect(!tree(graph).contains("\u{1b}"))
  }

  @Test func aNarrowTerminalWrapsInsteadOfOverflowing() throws {
    let text = tree(try fixture("gateway"), style: Style(hasColour: false, width: 48))
    let nodes = text.split(separator: "\n").filter { $0.contains("=") }
    #expect(nodes.count > 4 && nodes.allSatisfy { $0.count <= 48 }, "\(text)")
  }

  @Test func namesCannotSteerATerminal() throws {
    let graph = try fixture("hostile")
    for text in [tree(graph), dot(graph), svg(graph)] {
      #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }
  }

  @Test(arguments: graphs) func thePictureIsWellFormedXML(_ name: String) throws {
    let parser = XMLParser(data: Data(svg(try fixture(name)).utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  /// Texts must lie within the picture, by the estimate the layout itself goes by.
  @Test(arguments: graphs) func nothingIsDrawnOutsideThePicture(_ name: String) throws {
    let bounds = Bounds()
    let parser = XMLParser(data: Data(svg(try fixture(name)).utf8))
    parser.delegate = bounds
    #expect(parser.parse())
    #expect(bounds.right <= bounds.width && bounds.bottom <= bounds.height)
    #expect(bounds.width > 0 && bounds.rectangles > 1)
  }

  @Test(arguments: [
    "null", "[]", "7", #"{"interfaces":[1]}"#, #"{"interfaces":{"x":{"graph":[]}}}"#,
  ])
  func whatIsNoGraphIsStillDrawn(_ text: String) throws {
    let json = try JSON(parsing: text)
    #expect(!tree(json).isEmpty && !dot(json).isEmpty && svg(json).hasSuffix("</svg>\n"))
  }

  private final class Bounds: NSObject, XMLParserDelegate {
    var width = 0
    var height = 0
    var right = 0
    var bottom = 0
    var rectangles = 0

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
      qualifiedName: String?, attributes: [String: String]
    ) {
      func number(_ key: String) -> Int { attributes[key].flatMap { Int($0) } ?? 0 }
      switch name {
      case "svg": (width, height) = (number("width"), number("height"))
      case "rect", "text":
        if name == "rect" { rectangles += 1 }
        right = max(right, number("x") + number("width"))
        bottom = max(bottom, number("y") + number("height"))
      default: break
      }
    }
  }
}
