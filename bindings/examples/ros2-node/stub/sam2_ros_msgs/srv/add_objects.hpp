#include <ros.hpp>
