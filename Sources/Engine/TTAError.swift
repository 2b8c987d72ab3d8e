// The one error of all libraries.

/// What is wrong (the thing by name, what was expected, what was found), what to do about it, and what caused it.
public struct TTAError: Error, CustomStringConvertible {
  /// The class of an error; each has an exit code of the command line.
  public enum Code: String, Sendable, CaseIterable {
    /// A flag, an option or a combination that cannot work.
    case usage
    /// A corrupt file, a wrong shape.
    case invalidData
    /// A file that is not there.
    case missingInput
    /// A model or an operator that this library does not do.
    case unsupported
    /// A loss, an input or a parameter that is not finite.
    case nonFinite
    /// An output that cannot be written.
    case cannotWrite
    /// A mistake of ours.
    case `internal`
  }
  /// The class.
  public var code: Code
  /// One line: what is wrong, with the name of the thing, what was expected and what was found.
  public var message: String
  /// One line: what to do.
  public var hint: String?
  /// The error behind this one.
  public var cause: (any Error)?

  /// An error; the hint says what to do.
  public init(_ code: Code, _ message: String, hint: String? = nil, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
    self.cause = cause
  }

  /// The message.
  public var description: String { message }
}
