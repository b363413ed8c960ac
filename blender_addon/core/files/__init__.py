# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the extension reads and writes, by itself and with numpy alone."""
