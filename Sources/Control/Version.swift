// SPDX-License-Identifier: Apache-2.0

/// The version fpd and fpctl tell.
public let version = "0.1.0"

/// Where fpd listens unless told otherwise.
public let defaultSocketPath = "/run/fpd/fpd.sock"
