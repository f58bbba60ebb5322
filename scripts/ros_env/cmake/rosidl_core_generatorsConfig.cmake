# rosidl_core_generators is the metapackage that loads every message generator. It has no wheel, its members
# have: load them here. Each registers itself with rosidl_generate_interfaces when it is found.
foreach(generator
    rosidl_cmake
    rosidl_generator_type_description
    rosidl_generator_c
    rosidl_generator_cpp
    rosidl_typesupport_introspection_c
    rosidl_typesupport_introspection_cpp
    rosidl_typesupport_fastrtps_c
    rosidl_typesupport_fastrtps_cpp
    rosidl_typesupport_c
    rosidl_typesupport_cpp
    rosidl_generator_py)
  find_package(${generator} REQUIRED)
endforeach()
set(rosidl_core_generators_FOUND TRUE)
