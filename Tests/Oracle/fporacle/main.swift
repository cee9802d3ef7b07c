// SPDX-License-Identifier: Apache-2.0
import Oracle

OracleCommand.main()
