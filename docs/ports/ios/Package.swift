// swift-tools-version:5.5
import PackageDescription

let package = Package(
    name: "ZimwatchReporter",
    platforms: [.iOS(.v12), .macOS(.v10_13)],
    products: [.library(name: "ZimwatchReporter", targets: ["ZimwatchReporter"])],
    dependencies: [.package(url: "https://github.com/zegolibrary/zim-ios", from: "2.7.1")],
    targets: [.target(name: "ZimwatchReporter", dependencies: [.product(name: "ZIM", package: "zim-ios")])]
)
