# ament_cmake_ros is ament_cmake with shared libraries by default, plus test helpers that have no wheels.
# Message generation needs the first half only.
find_package(ament_cmake REQUIRED)
set(BUILD_SHARED_LIBS ON CACHE BOOL "Build the message libraries as shared libraries")
set(ament_cmake_ros_FOUND TRUE)
