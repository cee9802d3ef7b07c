#include "CXtables.h"
